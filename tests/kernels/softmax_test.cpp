#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Softmax : public KernelTest {
 public:
  void check(DType dtype, std::int64_t rows, std::int64_t n) {
    SCOPED_TRACE(testing::Message() << rows << " x " << n << " " << name_of(dtype));
    const Values x = uniform("x", rows * n, dtype, -8, 8);
    const std::vector<Values> outputs = run([&](Device& device) {
      device->softmax(device.in(dtype, {rows, n}, x), device.out(dtype, {rows, n}));
      const Out y = device.in_out(dtype, {rows, n}, x);
      device->softmax(y, y);
    });
    expect_matches(outputs[0], dtype, [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t row = 0; row < rows; ++row) {
        const auto begin = x.begin() + row * n, end = begin + n;
        const T max = static_cast<T>(*std::max_element(begin, end));
        T sum = 0;
        for (auto it = begin; it != end; ++it) sum += std::exp(static_cast<T>(*it) - max);
        for (auto it = begin; it != end; ++it) expected.add(std::exp(static_cast<T>(*it) - max) / sum);
      }
      return expected;
    });
    expect_equal(outputs[1], outputs[0]);
  }
  void check_backward(DType dtype, std::int64_t rows, std::int64_t n) {
    SCOPED_TRACE(testing::Message() << rows << " x " << n << " " << name_of(dtype));
    const Values y = uniform("y", rows * n, dtype, 0, 1), dy = uniform("dy", rows * n, dtype);
    const std::vector<Values> outputs = run([&](Device& device) {
      const Shape shape{rows, n};
      device->softmax_backward(device.in(dtype, shape, y), device.in(dtype, shape, dy), device.out(dtype, shape));
      const Out dx = device.in_out(dtype, shape, dy);
      device->softmax_backward(device.in(dtype, shape, y), dx, dx);
    });
    expect_matches(outputs[0], dtype, [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t row = 0; row < rows; ++row) {
        const auto at = [&](const Values& values, std::int64_t j) {
          return static_cast<T>(values[static_cast<std::size_t>(row * n + j)]);
        };
        PlainSum<T> sum;
        for (std::int64_t j = 0; j < n; ++j) sum.add(at(y, j) * at(dy, j));
        for (std::int64_t j = 0; j < n; ++j)
          expected.add(at(y, j) * (at(dy, j) - sum.value), at(y, j) * std::max(std::fabs(at(dy, j)), sum.largest),
                       at(y, j) * sum.typical_error());
      }
      return expected;
    });
    expect_equal(outputs[1], outputs[0]);
  }
};

const std::vector<std::int64_t> kWidths = {1, 2, 4, 10, 31, 32, 33, 64, 65, 127, 257, 1031};

TEST_P(Softmax, RaggedSizesAndInPlace) {
  for (DType dtype : float_types())
    for (const std::int64_t rows : {0, 1, 2, 15, 16, 17, 33})
      for (const std::int64_t n : kWidths) check(dtype, rows, n);
}

TEST_P(Softmax, LongRows) {
  for (const std::int64_t n : {1500, 2048, 2049, 8191, 8192, 8193, 20011}) {
    check(DType::f32, 1, n);
    check(DType::f32, 3, n);
    check_backward(DType::f32, 3, n);
  }
}

TEST_P(Softmax, OtherRanksAndManyRows) {
  const Values x = uniform("x", 5003 * 12);
  for (const Shape& shape : {Shape{5003, 12}, Shape{5003, 3, 4}, Shape{5003 * 12}}) {
    const std::vector<Values> outputs =
        run([&](Device& device) { device->softmax(device.in(DType::f32, shape, x), device.out(DType::f32, shape)); });
    const auto n = static_cast<std::size_t>(shape.last());
    for (std::size_t row = 0; row < x.size() / n; ++row) {
      double sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += outputs[0][row * n + j];
      ASSERT_NEAR(sum, 1, 1e-5) << "row " << row << " of " << shape;
    }
  }
  const std::vector<Values> scalar =
      run([&](Device& device) { device->softmax(device.in(DType::f32, {}, {3}), device.out(DType::f32, {})); });
  expect_equal(scalar[0], {1});
}

TEST_P(Softmax, ExtremeLogits) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Values x = {3e38, -3e38, 0, -infinity, 0, 0, nan, 0, 0, infinity, 0, 0, 1000, 1000, -1000};
  for (DType dtype : float_types()) {
    Values held = x;
    for (double& value : held) value = rounded(value, dtype);
    const std::vector<Values> outputs = run([&](Device& device) {
      device->softmax(device.in(dtype, {5, 3}, held), device.out(dtype, {5, 3}));
    });
    const Values& y = outputs[0];
    expect_equal({y.begin(), y.begin() + 6}, {1, 0, 0, 0, 0.5, 0.5});
    for (std::size_t i = 6; i < 10; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;  // no probability is defined
    expect_equal({y.begin() + 12, y.end()}, {0.5, 0.5, 0});
  }
}

TEST_P(Softmax, BackwardAtRaggedSizesAndInPlace) {
  for (DType dtype : float_types())
    for (const std::int64_t rows : {0, 1, 33})
      for (const std::int64_t n : kWidths) check_backward(dtype, rows, n);
}

INSTANTIATE_TEST_SUITE_P(On, Softmax, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
