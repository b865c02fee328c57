#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Matmul : public KernelTest {
 public:
  struct Case {
    std::int64_t m, n, k;
    bool transpose_a = false, transpose_b = false, bias = false, relu = false, accumulate = false;
  };

  void check(const Case& c) {
    for (DType dtype : float_types()) check(c, dtype);
  }

 private:
  void check(const Case& c, DType dtype) {
    SCOPED_TRACE(testing::Message() << "m " << c.m << " n " << c.n << " k " << c.k << (c.transpose_a ? " A^T" : "")
                                    << (c.transpose_b ? " B^T" : "") << (c.bias ? " bias" : "") << (c.relu ? " relu" : "")
                                    << (c.accumulate ? " accumulate" : "") << " " << name_of(dtype));
    const Values a = uniform("a", c.m * c.k, dtype), b = uniform("b", c.k * c.n, dtype);
    const Values bias = uniform("bias", c.n, dtype), before = uniform("before", c.m * c.n, dtype);
    const std::vector<Values> outputs = run([&](Device& device) {
      const In in_a = device.in(dtype, c.transpose_a ? Shape{c.k, c.m} : Shape{c.m, c.k}, a);
      const In in_b = device.in(dtype, c.transpose_b ? Shape{c.n, c.k} : Shape{c.k, c.n}, b);
      Epilogue epilogue{{}, c.relu, c.accumulate};
      if (c.bias) epilogue.bias = device.in(dtype, {c.n}, bias);
      const Out out = c.accumulate ? device.in_out(dtype, {c.m, c.n}, before) : device.out(dtype, {c.m, c.n});
      device->matmul(in_a, c.transpose_a, in_b, c.transpose_b, out, epilogue, Math::f32);
    });
    expect_matches(outputs[0], dtype, [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t i = 0; i < c.m; ++i) {
        for (std::int64_t j = 0; j < c.n; ++j) {
          PlainSum<T> sum;
          for (std::int64_t l = 0; l < c.k; ++l)
            sum.add(static_cast<T>(a[static_cast<std::size_t>(c.transpose_a ? l * c.m + i : i * c.k + l)]) *
                    static_cast<T>(b[static_cast<std::size_t>(c.transpose_b ? j * c.k + l : l * c.n + j)]));
          if (c.bias) sum.add(static_cast<T>(bias[static_cast<std::size_t>(j)]));
          if (c.accumulate) sum.add(static_cast<T>(before[static_cast<std::size_t>(i * c.n + j)]));
          if (c.relu) sum.value = std::max(sum.value, T(0));
          sum.add_to(expected);
        }
      }
      return expected;
    });
  }
};

TEST_P(Matmul, RaggedSizesInEveryOrderOfTransposes) {
  const std::vector<std::array<std::int64_t, 3>> sizes = {
      {0, 3, 4},    {3, 0, 4},   {3, 4, 0},     {1, 1, 1},    {1, 1, 257},   {1, 127, 33},
      {127, 1, 33}, {2, 31, 32}, {31, 33, 2},   {32, 32, 32}, {33, 31, 127}, {127, 10, 4},
      {4, 257, 31}, {257, 5, 1}, {13, 17, 101}, {7, 6, 257},  {64, 48, 80}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) check({m, n, k, transpose_a, transpose_b});
  }
}

TEST_P(Matmul, Epilogues) {
  const std::vector<std::array<std::int64_t, 3>> sizes = {{0, 3, 4}, {5, 7, 0}, {33, 10, 4}, {12, 4, 100}, {31, 70, 33}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool transpose_b : {false, true}) {
      check({.m = m, .n = n, .k = k, .transpose_b = transpose_b, .bias = true});
      check({.m = m, .n = n, .k = k, .transpose_b = transpose_b, .relu = true});
      check({.m = m, .n = n, .k = k, .transpose_b = transpose_b, .bias = true, .relu = true});
      check({.m = m, .n = n, .k = k, .transpose_a = true, .transpose_b = transpose_b, .accumulate = true});
    }
  }
}

/// The products of an MNIST step with its batch of 128: forward, gradient of the weights, gradient of the input.
TEST_P(Matmul, MnistLayers) {
  for (const std::int64_t width : {4, 16, 64}) {
    check({.m = 128, .n = width, .k = 784, .transpose_b = true, .bias = true, .relu = true});
    check({.m = 128, .n = width, .k = 784, .bias = true, .relu = true});
    check({.m = width, .n = 784, .k = 128, .transpose_a = true});
    check({.m = 784, .n = width, .k = 128, .transpose_a = true});
    check({.m = 128, .n = 10, .k = width, .transpose_b = true, .bias = true});
    check({.m = 128, .n = width, .k = 10});
  }
}

/// Large enough for several pieces on several threads, by every path.
TEST_P(Matmul, LargeProductsInEveryOrderOfTransposes) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      check({.m = 199,
             .n = 331,
             .k = 307,
             .transpose_a = transpose_a,
             .transpose_b = transpose_b,
             .bias = true,
             .relu = true});
      check({.m = 150, .n = 300, .k = 310, .transpose_a = transpose_a, .transpose_b = transpose_b, .accumulate = true});
    }
  }
  check({.m = 3001, .n = 64, .k = 160, .transpose_b = true, .bias = true});
  check({.m = 1500, .n = 4, .k = 784, .transpose_b = true});
}

TEST_P(Matmul, NanAndInfinityReachTheResult) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::int64_t k : {3, 100}) {
    Values a(static_cast<std::size_t>(3 * k), 1.0), b(static_cast<std::size_t>(k * 5), 1.0);
    a[0] = infinity;
    a[static_cast<std::size_t>(k + 1)] = nan;
    const std::vector<Values> outputs = run([&](Device& device) {
      device->matmul(device.in(DType::f32, {3, k}, a), false, device.in(DType::f32, {k, 5}, b), false,
                     device.out(DType::f32, {3, 5}), {}, Math::f32);
    });
    for (std::size_t j = 0; j < 5; ++j) {
      EXPECT_EQ(outputs[0][j], infinity);
      EXPECT_TRUE(std::isnan(outputs[0][5 + j]));
      EXPECT_EQ(outputs[0][10 + j], static_cast<double>(k));
    }
  }
}

TEST_P(Matmul, ReluKeepsNan) {
  const Values a = {std::numeric_limits<double>::quiet_NaN(), -1, 2};
  const std::vector<Values> outputs = run([&](Device& device) {
    device->matmul(device.in(DType::f32, {3, 1}, a), false, device.in(DType::f32, {1, 1}, {1}), false,
                   device.out(DType::f32, {3, 1}), {{}, true, false}, Math::f32);
  });
  EXPECT_TRUE(std::isnan(outputs[0][0]));
  EXPECT_EQ(outputs[0][1], 0);
  EXPECT_EQ(outputs[0][2], 2);
}

INSTANTIATE_TEST_SUITE_P(On, Matmul, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
