#include "kernels/checks/matmul.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel.h"

namespace alma {

void CpuBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c, const Epilogue& epilogue,
                        Math math) {
  const auto seen = check::matmul(*this, a, transpose_a, b, transpose_b, c, epilogue, math);
  const check::MatmulSizes& size = seen.sizes;
  if (math != Math::f32) fail("[matmul] the cpu computes in f32 or f64, got math ", name_of(math));
  if (epilogue.relu_mask) fail("[matmul] the cpu leaves no relu_mask, as relu_mask_bytes() says");
  for_float("matmul", a.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t bias_step = epilogue.bias.shape.rank() == 2 ? size.n : 0;
    for (std::int64_t i = 0; i < size.batch; ++i) {
      const T* bias = epilogue.bias ? epilogue.bias.as<T>() + i * bias_step : nullptr;
      const Product<T> product{.m = size.m,
                               .n = size.n,
                               .k = size.k,
                               .a = a.as<T>() + (a.shape.rank() == 3 ? i * size.m * size.k : 0),
                               .transpose_a = transpose_a,
                               .b = b.as<T>() + (b.shape.rank() == 3 ? i * size.k * size.n : 0),
                               .transpose_b = transpose_b,
                               .c = c.as<T>() + i * size.m * size.n,
                               .bias = bias,
                               .relu = epilogue.relu,
                               .accumulate = epilogue.accumulate};
      multiply(pool_, product);
    }
  });
  // C is in cache: the mask and the sums in one pass over it cost less than an edge in the product's inner loops would.
  if (epilogue.masked_by || epilogue.column_sums) bias_relu_backward(c, epilogue.masked_by, c, epilogue.column_sums);
  if (epilogue.sums_of_a) bias_relu_backward(a, {}, {}, epilogue.sums_of_a);
}

}  // namespace alma
