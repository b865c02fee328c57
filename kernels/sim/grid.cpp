// Launches: checks the configuration, then spreads the blocks over the stream's thread pool.
#include <numeric>
#include <string>

#include "base/error.h"
#include "kernels/sim/executor.h"
#include "kernels/sim/graph.h"
#include "kernels/sim/report.h"
#include "kernels/sim/stream.h"
#include "kernels/sim/stream_order.h"
#include "kernels/sim/symbols.h"
#include "kernels/sim/watch.h"

namespace alma::sim {
namespace {

constexpr std::uint64_t kMaxGrid[3] = {0x7fffffff, 65535, 65535};
constexpr std::uint64_t kMaxBlock[3] = {1024, 1024, 64};
constexpr std::uint64_t kMaxThreads = 1024;
// Fewer simulated threads are done before another OS thread has woken up.
constexpr std::uint64_t kThreadsWorthSpreading = 4096;
constexpr std::uint64_t kPiecesPerThread = 4;

std::uint64_t product(dim3 size) { return std::uint64_t{size.x} * size.y * size.z; }

void check_configuration(const Launch& launch) {
  const unsigned grid[3] = {launch.grid.x, launch.grid.y, launch.grid.z};
  const unsigned block[3] = {launch.block.x, launch.block.y, launch.block.z};
  bool fits = product(launch.block) <= kMaxThreads;
  for (int i = 0; i < 3; ++i)
    fits = fits && grid[i] >= 1 && grid[i] <= kMaxGrid[i] && block[i] >= 1 && block[i] <= kMaxBlock[i];
  if (!fits)
    fail("[launch] invalid configuration at ", place(launch.site), ": grid ", triple(launch.grid), ", block ",
         triple(launch.block));
  if (launch.dynamic_bytes > kSharedBytes)
    fail("[launch] ", launch.dynamic_bytes, " bytes of shared memory asked for at ", place(launch.site), ", at most ",
         kSharedBytes, " without opting in");
}

// The block that runs as number `position`: an order that depends on the schedule alone.
class BlockOrder {
 public:
  BlockOrder(Schedule schedule, std::uint64_t count) : order_(schedule.order), count_(count) {
    if (order_ != alma_sim_random) return;
    step_ = (schedule.seed * 0x9E3779B1u | 1) % count;
    while (std::gcd(step_, count) != 1) ++step_;
    first_ = schedule.seed % count;
  }
  std::uint64_t operator()(std::uint64_t position) const {
    if (order_ == alma_sim_sequential) return position;
    if (order_ == alma_sim_reverse) return count_ - 1 - position;
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(position) * step_ + first_) % count_);
  }

 private:
  AlmaSimOrder order_;
  std::uint64_t count_, step_ = 1, first_ = 0;
};

}  // namespace

void run_grid(const Grid& grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream, const Start& start) {
  if (here.thread != nullptr) here.executor->fail_here("a kernel launches a kernel", grid.site);
  Launch launch{grid.blocks, block, shared_bytes, start, grid.site, schedule()};
  check_configuration(launch);
  ThreadPool* pool = pool_of(stream);
  if (captures(stream))
    return record(stream, [=](cudaStream_t target) { run_grid(grid, block, shared_bytes, target, start); });
  count_launch([&] { return kernel_name(start.kernel) + " " + triple(launch.grid) + " " + triple(launch.block); });

  const std::uint64_t blocks = product(launch.grid);
  const BlockOrder order(launch.schedule, blocks);
  const auto run = [&](std::uint64_t begin, std::uint64_t end) {
    Executor& executor = Executor::mine();
    executor.begin(launch);
    for (std::uint64_t position = begin; position < end; ++position) executor.run_block(order(position));
  };
  if (const unsigned checks = alma_sim_checks(); checks != 0) {
    StreamWork work(stream, name_for_ever(kernel_name(start.kernel) + " (" + place(grid.site) + ")"));
    Watch watch(launch, checks, work);
    launch.watch = &watch;
    run(0, blocks);
    watch.finish();
    return;
  }
  const std::uint64_t threads = pool == nullptr ? 1 : static_cast<std::uint64_t>(pool->threads());
  if (threads == 1 || blocks == 1 || blocks * product(block) < kThreadsWorthSpreading) {
    run(0, blocks);
    return;
  }
  const std::uint64_t pieces = std::min(blocks, threads * kPiecesPerThread);
  pool->run(static_cast<std::int64_t>(pieces), [&](std::int64_t piece) {
    const auto p = static_cast<std::uint64_t>(piece);
    run(blocks * p / pieces, blocks * (p + 1) / pieces);
  });
}

}  // namespace alma::sim
