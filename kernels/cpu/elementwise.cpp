#include <cmath>

#include "kernels/checks/elementwise.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

constexpr std::int64_t kGrain = 16384;

/// y[i] = f(x[i]). y may be x: ivdep says that no element depends on another, which the compiler cannot see.
template <class T, class F>
void map(ThreadPool* pool, const In& x, const Out& y, double nanoseconds_each, F f) {
  for_pieces(pool, x.shape.count(), kGrain, nanoseconds_each, [&](std::int64_t begin, std::int64_t end) {
    const T* from = x.as<T>();
    T* to = y.as<T>();
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
  });
}

}  // namespace

void CpuBackend::unary(UnaryOp op, const In& x, const Out& y) {
  const Observed seen = check::unary(*this, op, x, y);
  for_float("unary", x.dtype, [&](auto type) {
    using T = decltype(type);
    switch (op) {
      case UnaryOp::relu: return map<T>(pool_, x, y, 0.3, [](T v) { return v < T(0) ? T(0) : v; });  // NaN stays NaN
      case UnaryOp::gelu: return map<T>(pool_, x, y, 2, [](T v) { return gelu(v); });
      case UnaryOp::exp: return map<T>(pool_, x, y, 2, [](T v) { return exponential(v); });
      case UnaryOp::log: return map<T>(pool_, x, y, 4, [](T v) { return std::log(v); });
      case UnaryOp::sqrt: return map<T>(pool_, x, y, 1, [](T v) { return std::sqrt(v); });
    }
  });
}

void CpuBackend::affine(const In& x, double scale, double shift, const Out& y) {
  const Observed seen = check::affine(*this, x, y);
  for_float("affine", x.dtype, [&](auto type) {
    using T = decltype(type);
    map<T>(pool_, x, y, 0.3, [a = static_cast<T>(scale), b = static_cast<T>(shift)](T v) { return a * v + b; });
  });
}

}  // namespace alma
