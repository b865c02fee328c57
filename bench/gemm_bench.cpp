// Products of the workload through the backend's matmul: gemm/<where>/<product>.
#include "bench/bench.h"
#include "bench/gemm_shapes.h"

namespace alma::bench {

void register_gemm(Suite& suite) {
  for (const GemmShape& shape : kGemmShapes) {
    const std::string name = std::string("gemm/") + shape.name;
    const auto m = static_cast<Count>(shape.m), n = static_cast<Count>(shape.n), k = static_cast<Count>(shape.k);
    const Cost cost{m * n * k, 2 * m * n * k, 4 * (m * k + k * n + m * n)};
    if (suite.too_large(name, static_cast<double>(cost.flops))) continue;
    const auto prepare = [&suite, shape]() -> Work {
      const Tensor a = ones(suite, shape.transpose_a ? Shape{shape.k, shape.m} : Shape{shape.m, shape.k});
      const Tensor b = ones(suite, shape.transpose_b ? Shape{shape.n, shape.k} : Shape{shape.k, shape.n});
      const Tensor c = ones(suite, {shape.m, shape.n});
      return [&suite, shape, a, b, c] {
        suite.context.backend().matmul(a, shape.transpose_a, b, shape.transpose_b, c.out(), {}, Math::f32);
      };
    };
    add(suite, name, prepare, {cost, 0, Traffic::copy});
  }
}

}  // namespace alma::bench
