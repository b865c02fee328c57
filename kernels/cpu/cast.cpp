#include "kernels/checks/conversions.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

constexpr std::int64_t kGrain = 16384;

template <class From, class To>
void convert(ThreadPool* pool, const In& x, const Out& y) {
  for_pieces(pool, x.shape.count(), kGrain, 0.5, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y.as<To>()[i] = static_cast<To>(x.as<From>()[i]);
  });
}

}  // namespace

void CpuBackend::cast(const In& x, const Out& y) {
  const Observed seen = check::cast(*this, x, y);
  if (x.dtype == DType::f32 && y.dtype == DType::bf16) return convert<float, Bf16>(pool_, x, y);
  if (x.dtype == DType::bf16 && y.dtype == DType::f32) return convert<Bf16, float>(pool_, x, y);
  if (x.dtype == DType::f32 && y.dtype == DType::f64) return convert<float, double>(pool_, x, y);
  if (x.dtype == DType::f64 && y.dtype == DType::f32) return convert<double, float>(pool_, x, y);
  fail("[cast] the cpu casts f32 to bf16 or f64 and back, got ", x.dtype, " to ", y.dtype);
}

}  // namespace alma
