#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

namespace alma {

/// A reference to a callable that outlives the call: no allocation, no copy.
class PieceFunction {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, PieceFunction>) PieceFunction(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, std::int64_t piece) { (*static_cast<std::remove_reference_t<F>*>(object))(piece); }) {}
  void operator()(std::int64_t piece) const { call_(object_, piece); }

 private:
  void* object_;
  void (*call_)(void*, std::int64_t);
};

/// Threads that work on the pieces of one job; the caller takes part. Abstract, because backends are separate
/// libraries. Which thread works on which piece is unspecified, so pieces depend only on shapes, and results do not
/// depend on the threads.
class ThreadPool {
 public:
  virtual ~ThreadPool() = default;
  /// The number of threads that can work at the same time, including the caller.
  virtual int threads() const = 0;
  /// Calls work(0) .. work(pieces - 1), each once, and returns when all are done. Inside a piece, and with one thread, runs
  /// inline and in order. An exception from a piece is thrown again here after the others have ended.
  virtual void run(std::int64_t pieces, PieceFunction work) = 0;
  /// From now on, leaves that many cores to work outside the pool; 0: none. May be called from any thread.
  virtual void lend(int threads) = 0;
};

/// A pool of `threads` >= 1; 1 starts no thread. Idle threads spin briefly, then sleep.
std::unique_ptr<ThreadPool> make_thread_pool(int threads);

}  // namespace alma
