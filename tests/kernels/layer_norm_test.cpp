#include "tests/kernels/norm_reference.h"

namespace alma::test {
namespace {

constexpr double kEpsilon = 1e-5;

class LayerNorm : public KernelTest {
 public:
  void check(std::int64_t rows, std::int64_t n, DType dtype, double offset = 0) {
    SCOPED_TRACE(testing::Message() << rows << " x " << n << " " << name_of(dtype) << " about " << offset);
    const Shape shape{rows, n};
    NormInputs in{uniform("x", rows * n, dtype, offset - 2, offset + 2), uniform("gamma", n, dtype, 0.5, 1.5),
                  uniform("beta", n, dtype), kEpsilon};
    in.dy = uniform("dy", rows * n, dtype);
    NormGroups groups(static_cast<std::size_t>(rows));
    for (std::int64_t i = 0; i < rows * n; ++i) groups[static_cast<std::size_t>(i / n)].push_back({i, i % n});
    add_statistics(in, groups, dtype);
    const std::vector<Values> outputs = run([&](Device& device) {
      const In x = device.in(dtype, shape, in.x), gamma = device.in(dtype, {n}, in.gamma);
      const Out y = device.out(dtype, shape), mean = device.out(dtype, {rows}), rstd = device.out(dtype, {rows});
      device->layer_norm(x, gamma, device.in(dtype, {n}, in.beta), kEpsilon, y, mean, rstd);
      const In in_mean = device.in(dtype, {rows}, in.mean), in_rstd = device.in(dtype, {rows}, in.rstd);
      const Out dx = device.out(dtype, shape), dgamma = device.out(dtype, {n}), dbeta = device.out(dtype, {n});
      device->layer_norm_backward(x, gamma, in_mean, in_rstd, device.in(dtype, shape, in.dy), dx, dgamma, dbeta);
    });
    expect_norm(outputs, 0, dtype, in, groups);
    expect_norm_gradients(outputs, 3, dtype, in, groups);
  }
};

TEST_P(LayerNorm, RaggedSizes) {
  for (DType dtype : float_types()) {
    for (const std::int64_t rows : {0, 1, 2, 31, 33})
      for (const std::int64_t n : {1, 2, 4, 15, 16, 17, 31, 32, 33, 64, 127, 128, 129, 257, 512, 516}) check(rows, n, dtype);
  }
}

TEST_P(LayerNorm, LongRows) {
  for (DType dtype : float_types()) {
    for (const std::int64_t n : {1024, 1031, 2048, 2052, 8191, 8192, 8193, 8200, 20011, 20012}) check(3, n, dtype);
    check(131, 8196, dtype);
  }
}

TEST_P(LayerNorm, ManyRows) {
  for (DType dtype : float_types()) {
    check(1031, 12, dtype);
    check(2003, 64, dtype);
    check(301, 768, dtype);
    check(20011, 3, dtype);
  }
}

TEST_P(LayerNorm, MeansFarFromZero) {
  for (DType dtype : float_types())
    for (const std::int64_t n : {10, 512, 3000, 9000}) check(5, n, dtype, 1000);
}

TEST_P(LayerNorm, EvaluationKeepsNoStatistics) {
  const Values x = uniform("x", 33 * 40), gamma = uniform("gamma", 40), beta = uniform("beta", 40);
  const std::vector<Values> outputs = run([&](Device& device) {
    const DType t = DType::f32;
    const In in_x = device.in(t, {33, 40}, x), in_gamma = device.in(t, {40}, gamma), in_beta = device.in(t, {40}, beta);
    const Out y = device.out(t, {33, 40}), z = device.out(t, {33, 40}), mean = device.out(t, {33}),
              rstd = device.out(t, {33});
    device->layer_norm(in_x, in_gamma, in_beta, kEpsilon, y, {}, {});
    device->layer_norm(in_x, in_gamma, in_beta, kEpsilon, z, mean, rstd);
  });
  expect_equal(outputs[0], outputs[1]);
}

class LayerNormInF64 : public LayerNorm {};

TEST_P(LayerNormInF64, BackwardIsTheGradientOfTheForward) {
  for (const std::int64_t n : {1, 2, 33}) {
    const std::int64_t rows = 3;
    const Values x = uniform("x", rows * n, DType::f64), gamma = uniform("gamma", n, DType::f64);
    const Values beta = uniform("beta", n, DType::f64), dy = uniform("dy", rows * n, DType::f64);
    const auto forward = [&](Device& device, const std::vector<Values>& in, const Out& mean, const Out& rstd) {
      const DType t = DType::f64;
      const Out y = device.out(t, {rows, n});
      device->layer_norm(device.in(t, {rows, n}, in[0]), device.in(t, {n}, in[1]), device.in(t, {n}, in[2]), kEpsilon, y,
                         mean, rstd);
      return y;
    };
    Device device(backend(), 0);
    const DType t = DType::f64;
    const Out mean = device.out(t, {rows}), rstd = device.out(t, {rows});
    forward(device, {x, gamma, beta}, mean, rstd);
    const Out dx = device.out(t, {rows, n}), dgamma = device.out(t, {n}), dbeta = device.out(t, {n});
    device->layer_norm_backward(device.in(t, {rows, n}, x), device.in(t, {n}, gamma), mean, rstd,
                                device.in(t, {rows, n}, dy), dx, dgamma, dbeta);
    const auto loss = [&](const std::vector<Values>& in) {
      Device other(backend(), 0);
      const Out y = forward(other, in, {}, {});
      return dot(values_of(other, y), dy);
    };
    expect_gradients({x, gamma, beta}, {values_of(device, dx), values_of(device, dgamma), values_of(device, dbeta)}, loss);
  }
}

INSTANTIATE_TEST_SUITE_P(On, LayerNorm, testing::ValuesIn(devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, LayerNormInF64, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
