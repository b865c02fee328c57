#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

constexpr double kScale = 0.375;

class CausalSoftmax : public KernelTest {
 public:
  /// [batch, t, t] between low and high on and below the diagonal, NaN above: what is there must not be read.
  Values lower(std::string_view purpose, std::int64_t batch, std::int64_t t, DType dtype, double low, double high) {
    Values values = uniform(purpose, batch * t * t, dtype, low, high);
    for (std::int64_t i = 0; i < batch * t * t; ++i)
      if (i % t > i / t % t) values[static_cast<std::size_t>(i)] = std::numeric_limits<double>::quiet_NaN();
    return values;
  }
  void check(DType dtype, std::int64_t batch, std::int64_t t);
  void check_backward(DType dtype, std::int64_t batch, std::int64_t t);
};

/// row(i, add): the values of row i, which begin at element `first`; add() for each of its t elements.
template <class T, class RowOf>
Expected rows_of(std::int64_t batch, std::int64_t t, const RowOf& row) {
  Expected expected;
  for (std::int64_t r = 0; r < batch * t; ++r) {
    row(expected, static_cast<std::size_t>(r * t), static_cast<std::size_t>(r % t + 1));
    for (std::int64_t j = r % t + 1; j < t; ++j) expected.add(T(0));
  }
  return expected;
}

void CausalSoftmax::check(DType dtype, std::int64_t batch, std::int64_t t) {
  SCOPED_TRACE(testing::Message() << batch << " x " << t << " " << name_of(dtype));
  const Values x = lower("x", batch, t, dtype, -8, 8);
  const std::vector<Values> outputs = run([&](Device& device) {
    const Shape shape{batch, t, t};
    device->causal_softmax(device.in(dtype, shape, x), kScale, device.out(dtype, shape));
  });
  expect_matches(outputs[0], dtype, [&](auto type) {
    using T = decltype(type);
    return rows_of<T>(batch, t, [&](Expected& expected, std::size_t first, std::size_t n) {
      const auto at = [&](std::size_t j) { return static_cast<T>(x[first + j]) * static_cast<T>(kScale); };
      T max = at(0);
      for (std::size_t j = 1; j < n; ++j) max = std::max(max, at(j));
      T sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += std::exp(at(j) - max);
      for (std::size_t j = 0; j < n; ++j) expected.add(std::exp(at(j) - max) / sum);
    });
  });
}

void CausalSoftmax::check_backward(DType dtype, std::int64_t batch, std::int64_t t) {
  SCOPED_TRACE(testing::Message() << "backward " << batch << " x " << t << " " << name_of(dtype));
  const Values y = lower("y", batch, t, dtype, 0, 1), dy = lower("dy", batch, t, dtype, -1, 1);
  const std::vector<Values> outputs = run([&](Device& device) {
    const Shape shape{batch, t, t};
    device->causal_softmax_backward(device.in(dtype, shape, y), device.in(dtype, shape, dy), kScale,
                                    device.out(dtype, shape));
  });
  expect_matches(outputs[0], dtype, [&](auto type) {
    using T = decltype(type);
    return rows_of<T>(batch, t, [&](Expected& expected, std::size_t first, std::size_t n) {
      const auto p = [&](std::size_t j) { return static_cast<T>(y[first + j]); };
      const auto g = [&](std::size_t j) { return static_cast<T>(dy[first + j]); };
      PlainSum<T> sum;
      for (std::size_t j = 0; j < n; ++j) sum.add(p(j) * g(j));
      for (std::size_t j = 0; j < n; ++j) {
        const T factor = static_cast<T>(kScale) * p(j);
        expected.add(factor * (g(j) - sum.value), factor * std::max(std::fabs(g(j)), sum.largest),
                     factor * sum.typical_error());
      }
    });
  });
}

TEST_P(CausalSoftmax, RaggedSizes) {
  for (DType dtype : float_types())
    for (const std::int64_t batch : {0, 1, 3})
      for (const std::int64_t t : {0, 1, 2, 15, 16, 17, 32, 33, 127, 129}) {
        check(dtype, batch, t);
        check_backward(dtype, batch, t);
      }
}

TEST_P(CausalSoftmax, LongRows) {
  for (const std::int64_t t : {300, 1025}) {
    check(DType::f32, 1, t);
    check_backward(DType::f32, 1, t);
  }
}

TEST_P(CausalSoftmax, Errors) {
  Device device(backend(), 0);
  const In x = device.in(DType::f32, {2, 3}, Values(6, 0));
  const Out y = device.in_out(DType::f32, {2, 3}, Values(6, 0));
  EXPECT_EQ(error_of([&] { device->causal_softmax(x, 1, y); }), "[causal_softmax] x must be [.., t, t], got [2, 3]");
  EXPECT_EQ(error_of([&] { device->causal_softmax_backward(x, x, 1, y); }),
            "[causal_softmax_backward] y must be [.., t, t], got [2, 3]");
}

INSTANTIATE_TEST_SUITE_P(On, CausalSoftmax, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
