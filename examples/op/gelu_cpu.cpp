// The primitive in C++, on the threads of the context's pool.
#include "gelu_cpu.h"

#include <cmath>

#include "kernels/cpu/parallel.h"

using namespace alma;

namespace {

template <class T>
T distribution(T x) {
  return std::erfc(-x * T(0.70710678118654752440)) / 2;  // not 1 + erf, which loses all digits far below 0
}
template <class T>
T density(T x) {
  return std::exp(-x * x / 2) * T(0.39894228040143267794);
}

// Pieces follow from the number of elements alone, so the bits do not depend on the number of threads.
constexpr std::int64_t kPiece = 4096;
constexpr double kNanosecondsEach = 10;

class CpuGelu final : public GeluPrimitive {
 public:
  explicit CpuGelu(ThreadPool& pool) : pool_(pool) {}

  void gelu(const In& x, const Out& y) override {
    for_float("gelu", x.dtype, [&]<class T>(T) {
      each<T>(x, [from = x.as<T>(), to = y.as<T>()](std::int64_t i) { to[i] = from[i] * distribution(from[i]); });
    });
  }

  void gelu_backward(const In& x, const In& dy, const Out& dx) override {
    for_float("gelu_backward", x.dtype, [&]<class T>(T) {
      each<T>(x, [from = x.as<T>(), up = dy.as<T>(), to = dx.as<T>()](std::int64_t i) {
        to[i] = up[i] * (distribution(from[i]) + from[i] * density(from[i]));
      });
    });
  }

 private:
  template <class T, class Work>
  void each(const In& x, const Work& work) {
    for_pieces(&pool_, x.shape.count(), kPiece, kNanosecondsEach, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) work(i);
    });
  }

  ThreadPool& pool_;
};

}  // namespace

std::unique_ptr<GeluPrimitive> make_cpu_gelu(ThreadPool& pool) { return std::make_unique<CpuGelu>(pool); }
