#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace alma {
namespace {

using Clock = std::chrono::steady_clock;

thread_local bool inside_piece = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns once value is no longer `old`: a bounded spin, because sleeping and waking takes microseconds, then sleep, so
/// that a taken core costs little.
template <class T>
void wait_while(const std::atomic<T>& value, T old) {
  constexpr int spins = 4000;
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

/// Decides whether to use the workers when other processes take the cores: a worker that lost its core in the middle of a
/// piece keeps the caller waiting for milliseconds. After such a wait the caller works alone for a while, longer each time.
class Patience {
 public:
  bool alone() { return left_ > 0 && left_-- > 0; }
  /// Records the caller's working time and its wait for the others' last pieces, which should be no longer than its own.
  void waited(Clock::duration worked, Clock::duration waited) {
    if (waited > 2 * worked + std::chrono::microseconds(100)) {
      left_ = length_;
      length_ = std::min(2 * length_, 4096);
    } else if (length_ > 16) {
      --length_;
    }
  }

 private:
  int left_ = 0, length_ = 16;  // jobs
};

/// The exception of the first piece that threw, by index, so that which one is seen does not depend on the threads.
class FirstFailure {
 public:
  void keep(std::int64_t piece) {
    const std::lock_guard lock(mutex_);
    if (piece < piece_) {
      piece_ = piece;
      exception_ = std::current_exception();
    }
  }
  void rethrow() {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::int64_t piece_ = std::numeric_limits<std::int64_t>::max();
  std::exception_ptr exception_;
};

/// One call of run(), on the caller's stack.
struct Job {
  PieceFunction work;
  std::int64_t pieces;
  std::atomic<std::int64_t> next{0};
  FirstFailure failure;

  /// Takes pieces until none is left.
  void take_part() {
    const bool was_inside = std::exchange(inside_piece, true);
    for (std::int64_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
      try {
        work(piece);
      } catch (...) {
        failure.keep(piece);
      }
    }
    inside_piece = was_inside;
  }
};

class Pool final : public ThreadPool {
 public:
  explicit Pool(int threads) {
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
    } catch (const std::exception&) {
      // The system allows no more threads, or has no memory for their stacks: those that have started do the work.
    }
    threads_ = 1 + static_cast<int>(workers_.size());  // read by a worker after the first change of epoch_
  }
  ~Pool() override {
    stop_.store(true, std::memory_order_relaxed);
    change_epoch();
  }

  void lend(int threads) override { lent_.store(std::clamp(threads, 0, threads_ - 1), std::memory_order_relaxed); }
  int threads() const override { return threads_; }

  void run(std::int64_t pieces, PieceFunction work) override {
    if (pieces <= 0) return;
    Job job{work, pieces, {}, {}};
    // A second thread that comes while the pool is busy works alone; so does a piece that calls run().
    if (working_threads() == 1 || pieces == 1 || inside_piece || busy_.exchange(true, std::memory_order_acquire)) {
      job.take_part();
    } else if (patience_.alone()) {
      job.take_part();
      busy_.store(false, std::memory_order_release);
    } else {
      const Clock::time_point start = Clock::now();
      job_.store(&job, std::memory_order_seq_cst);
      change_epoch();
      job.take_part();
      const Clock::time_point done = Clock::now();
      // Closed before the count is read, counted before the job is read: a worker is either seen here or sees no job.
      job_.store(nullptr, std::memory_order_seq_cst);
      for (int left; (left = visitors_.load(std::memory_order_seq_cst)) != 0;) wait_while(visitors_, left);
      patience_.waited(done - start, Clock::now() - done);
      busy_.store(false, std::memory_order_release);
    }
    job.failure.rethrow();
  }

 private:
  void change_epoch() {
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }

  int working_threads() const { return threads_ - lent_.load(std::memory_order_relaxed); }

  void serve(int number) {
    for (int seen = 0;;) {
      wait_while(epoch_, seen);
      seen = epoch_.load(std::memory_order_acquire);
      if (stop_.load(std::memory_order_relaxed)) return;
      if (number >= working_threads()) continue;
      visitors_.fetch_add(1, std::memory_order_seq_cst);
      if (Job* job = job_.load(std::memory_order_seq_cst)) job->take_part();
      if (visitors_.fetch_sub(1, std::memory_order_seq_cst) == 1) visitors_.notify_all();
    }
  }

  int threads_ = 1;
  std::atomic<int> epoch_{0};       // changes with every job, and at the end
  std::atomic<Job*> job_{nullptr};  // the open job
  std::atomic<int> visitors_{0};    // workers that may hold a pointer to it
  std::atomic<bool> busy_{false};   // a caller is inside run()
  Patience patience_;               // of the caller inside run()
  std::atomic<bool> stop_{false};
  std::atomic<int> lent_{0};
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

}  // namespace

std::unique_ptr<ThreadPool> make_thread_pool(int threads) { return std::make_unique<Pool>(std::max(1, threads)); }

}  // namespace alma
