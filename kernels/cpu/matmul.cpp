#include "kernels/checks.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel.h"

namespace alma {

void CpuBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                        const Epilogue& epilogue) {
  const check::MatmulSizes size = check::matmul(a, transpose_a, b, transpose_b, c, epilogue);
  for_float("matmul", a.dtype, [&](auto type) {
    using T = decltype(type);
    multiply<T>(pool_, {size.m, size.n, size.k, a.as<T>(), transpose_a, b.as<T>(), transpose_b, c.as<T>(),
                        epilogue.bias.as<T>(), epilogue.relu, epilogue.accumulate});
  });
}

}  // namespace alma
