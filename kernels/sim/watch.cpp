#include "kernels/sim/watch.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "kernels/sim/report.h"
#include "kernels/sim/symbols.h"

namespace alma::sim {
namespace {

// No thread does so much on its own: it turns round and round until another one, which never gets to run, lets it go.
constexpr std::uint64_t kEndlessAccesses = std::uint64_t{1} << 24;

// What lasts from launch to launch. Used under the lock of device memory.
struct Lasting {
  Sites sites;
  std::uint32_t runs = 0;  // of blocks
  RaceCells shared_races;
  std::vector<std::uint8_t> shared_written = std::vector<std::uint8_t>(kArenaBytes, 0);
  std::size_t shared_end = 0;  // of what was written
};

Lasting& lasting() {
  static auto& instance = *new Lasting;
  return instance;
}

bool add(std::vector<Allocation*>& set, Allocation& block) {
  if (std::find(set.begin(), set.end(), &block) != set.end()) return false;
  set.push_back(&block);
  return true;
}

std::string bytes_of(std::size_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }
std::string name_of(const Allocation& block) {
  return "allocation " + std::to_string(block.number) + " (" + bytes_of(block.bytes) + ")";
}
std::string name_of(const SharedVariable& variable) {
  return std::string(variable.name) + " (" + bytes_of(variable.bytes) + ", shared)";
}

}  // namespace

Watch::Watch(const Launch& launch, unsigned checks, StreamWork& work)
    : lock_(lock_device_memory()),
      launch_(launch),
      memcheck_((checks & alma_sim_memcheck) != 0),
      racecheck_((checks & alma_sim_racecheck) != 0),
      streams_((checks & alma_sim_streams) != 0),
      work_(work),
      first_run_(lasting().runs + 1) {
  if (lasting().shared_races.empty()) lasting().shared_races.reset(kArenaBytes);
  if ((checks & alma_sim_counters) == 0) return;
  counters_ = &counters_of(launch.start.kernel);
  counter_.emplace(*counters_, lasting().sites);
}

void Watch::begin_block(const Executor& executor, std::uint64_t number) {
  executor_ = &executor;
  numbers_.push_back(number);
  const std::size_t threads = std::size_t{launch_.block.x} * launch_.block.y * launch_.block.z;
  order_.begin(++lasting().runs, threads);
  std::fill_n(lasting().shared_written.begin(), lasting().shared_end, 0);
  lasting().shared_end = 0;
  busy_ = nullptr;
  if (counter_) counter_->begin_block((threads + 31) / 32);
}

void Watch::end_block() {
  if (!counter_) return;
  counter_->flush_all();
  ++counters_->total.blocks;
}

void Watch::barrier() {
  order_.barrier();
  busy_ = nullptr;
  if (!counter_) return;
  counter_->flush_all();
  ++counters_->total.barriers;
}

void Watch::warp_operation(const Warp& warp, std::uint32_t lanes, bool orders_memory) {
  const std::size_t number = executor_->number_of(*warp.lanes) / 32;
  if (orders_memory && racecheck_) order_.sync_lanes(number, lanes);
  if (!counter_) return;
  ++counters_->total.warp_operations;
  if (lanes == (warp.present & ~warp.exited)) counter_->flush(number);
}

void Watch::access(const void* p, std::size_t bytes, bool is_store, Site site) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const std::size_t offset = executor_->arena_offset(p);
  const bool shared = offset < kArenaBytes;
  if (here.thread != busy_) {
    busy_ = here.thread;
    accesses_of_busy_ = 0;
  }
  if (++accesses_of_busy_ > kEndlessAccesses)
    report(std::to_string(kEndlessAccesses) + " accesses without a barrier or warp operation: an endless loop", site);
  if (shared) {
    shared_access(offset, bytes, is_store, site);
  } else {
    global_access(address, bytes, is_store, site);
  }
  if (counter_)
    counter_->access(executor_->number_of(*here.thread), shared ? offset : address, bytes, is_store, shared,
                     lasting().sites.number_of(site));
}

Allocation* Watch::block_of(std::uintptr_t address) {
  for (Allocation* recent : recent_)
    if (recent != nullptr && recent->holds(address)) return recent;
  Allocation* block = neighbours_of(address).before;
  if (block == nullptr || !block->live || !block->holds(address)) return nullptr;
  return recent_[next_recent_++ % std::size(recent_)] = block;
}

void Watch::global_access(std::uintptr_t address, std::size_t bytes, bool is_store, Site site) {
  Allocation* block = block_of(address);
  const std::size_t offset = block == nullptr ? 0 : address - block->begin;
  if (block == nullptr || bytes > block->bytes - offset) {
    if (memcheck_) report_global(address, bytes, is_store, site);
    return;
  }
  if (memcheck_) {
    if (is_store) {
      block->mark_written(offset, bytes);
    } else if (!block->all_written(offset, bytes)) {
      report("memcheck: load of " + bytes_of(bytes) + " at byte " + std::to_string(offset) + " of " + name_of(*block) +
                 ", which were never written,",
             site);
    }
  }
  if (streams_) use(*block, is_store);
  if (racecheck_) {
    if (block->races.empty()) block->races.reset(block->bytes);
    check_race(
        block->races, first_run_, offset, bytes, is_store,
        [&](std::size_t byte) { return std::to_string(byte) + " of " + name_of(*block); }, site);
  }
  if (counter_) {
    if (add(counted_, *block)) block->counted.assign(block->bytes, 0);
    for (std::size_t i = offset; i < offset + bytes; ++i) block->counted[i] |= is_store ? 2 : 1;
  }
}

void Watch::shared_access(std::size_t offset, std::size_t bytes, bool is_store, Site site) {
  Lasting& last = lasting();
  const SharedVariable variable = executor_->shared_variable_at(offset);
  const std::size_t begin = offset - variable.offset;  // wraps around below the first variable
  if (memcheck_) {
    if (begin > variable.bytes || bytes > variable.bytes - begin)
      report("memcheck: " + std::string(is_store ? "store" : "load") + " of " + bytes_of(bytes) + " at byte " +
                 std::to_string(static_cast<std::ptrdiff_t>(begin)) + " of " + name_of(variable) + ", out of its bounds,",
             site);
    std::uint8_t* written = last.shared_written.data() + offset;
    if (is_store) {
      std::fill_n(written, bytes, 1);
      last.shared_end = std::max(last.shared_end, offset + bytes);
    } else if (std::find(written, written + bytes, 0) != written + bytes) {
      report("memcheck: load of " + bytes_of(bytes) + " at byte " + std::to_string(begin) + " of " + name_of(variable) +
                 ", which were never written,",
             site);
    }
  }
  if (racecheck_ && offset + bytes <= kArenaBytes)
    check_race(
        last.shared_races, order_.run(), offset, bytes, is_store,
        [&](std::size_t byte) { return std::to_string(byte - variable.offset) + " of " + name_of(variable); }, site);
}

void Watch::use(Allocation& block, bool is_store) {
  if (add(is_store ? written_ : read_, block)) work_.uses(block, is_store ? Use::write : Use::read);
}

template <class Where>
void Watch::check_race(RaceCells& cells, std::uint32_t first_run, std::size_t offset, std::size_t bytes, bool is_store,
                       const Where& where, Site site) {
  const std::size_t thread = executor_->number_of(*here.thread);
  const RaceAccess now = order_.now(thread, lasting().sites.number_of(site));
  cells.each(offset, bytes, [&](RaceCell& cell, std::size_t byte) {
    const RaceAccess* earlier = record(cell, now, is_store, order_, first_run);
    if (earlier == nullptr) return;
    report("racecheck: " + std::string(is_store ? "store" : "load") + " at byte " + where(byte) +
               ", which no barrier separates from the " + (earlier == &cell.write ? "store" : "load") + " at " +
               place(lasting().sites[earlier->site]) + " by " + thread_at(*earlier) + ",",
           site);
  });
}

std::string Watch::thread_at(const RaceAccess& access) const {
  std::string text = "thread " + triple(executor_->thread(access.thread).index);
  if (access.run != order_.run()) {
    const dim3 grid = launch_.grid;
    const std::uint64_t number = numbers_[access.run - first_run_];
    text +=
        " of block " + triple(uint3{static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                                    static_cast<unsigned>(number / grid.x / grid.y)});
  }
  return text;
}

void Watch::report(const std::string& what, Site site) const { executor_->fail_here(what, site); }

void Watch::report_global(std::uintptr_t address, std::size_t bytes, bool is_store, Site site) const {
  constexpr std::uintptr_t kNear = 1 << 20;
  const Neighbours blocks = neighbours_of(address);
  std::string text = "memcheck: " + std::string(is_store ? "store" : "load") + " of " + bytes_of(bytes);
  const std::uintptr_t behind = blocks.before == nullptr ? kNear : address - blocks.before->begin - blocks.before->bytes;
  if (blocks.before != nullptr && blocks.before->holds(address) && !blocks.before->live) {
    report(text + " at byte " + std::to_string(address - blocks.before->begin) + " of " + name_of(*blocks.before) +
               ", which has been freed,",
           site);
  } else if (blocks.before != nullptr && (blocks.before->holds(address) || behind < kNear) &&
             (blocks.after == nullptr || behind <= blocks.after->begin - address || blocks.before->holds(address))) {
    report(text + " at byte " + std::to_string(address - blocks.before->begin) + " of " + name_of(*blocks.before) +
               ", out of its bounds,",
           site);
  } else if (blocks.after != nullptr && blocks.after->begin - address < kNear) {
    report(text + " " + bytes_of(blocks.after->begin - address) + " before " + name_of(*blocks.after), site);
  }
  report(text + ", which is not memory of the device,", site);
}

void Watch::finish() {
  if (!counter_) return;
  AlmaSimKernel& total = counters_->total;
  ++total.launches;
  total.block_threads = std::max(total.block_threads, launch_.block.x * launch_.block.y * launch_.block.z);
  total.dynamic_shared = std::max<std::uint64_t>(total.dynamic_shared, launch_.dynamic_bytes);
  for (Allocation* block : counted_) {
    for (const std::uint8_t flags : block->counted) {
      total.distinct_read += flags & 1;
      total.distinct_written += flags >> 1;
    }
    block->counted = {};
  }
}

}  // namespace alma::sim
