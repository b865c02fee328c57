#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Elementwise : public KernelTest {};

// sqrt(2 / pi) (x + .044715 x^3)
template <class T>
T gelu_inner(T x) {
  return std::sqrt(T(2) / std::acos(T(-1))) * (x + T(0.044715L) * x * x * x);
}

template <class T>
T apply(UnaryOp op, T x) {
  switch (op) {
    case UnaryOp::relu: return x < 0 ? T(0) : x;
    case UnaryOp::gelu: return x / (1 + std::exp(-2 * gelu_inner(x)));
    case UnaryOp::exp: return std::exp(x);
    case UnaryOp::log: return std::log(x);
    case UnaryOp::sqrt: return std::sqrt(x);
  }
  return x;
}

template <class T>
T apply(BinaryOp op, T a, T b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::subtract: return a - b;
    case BinaryOp::multiply: return a * b;
    case BinaryOp::divide: return a / b;
    case BinaryOp::relu_gradient: return b > 0 ? a : T(0);
    case BinaryOp::gelu_gradient: {  // by tanh, whose derivative is 1 - tanh^2
      const T tanh = std::tanh(gelu_inner(b)), slope = std::sqrt(T(2) / std::acos(T(-1))) * (1 + 3 * T(0.044715L) * b * b);
      return a * ((1 + tanh) / 2 + b * (1 - tanh * tanh) / 2 * slope);
    }
  }
  return a;
}

constexpr UnaryOp kUnaryOps[] = {UnaryOp::relu, UnaryOp::gelu, UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt};
constexpr BinaryOp kBinaryOps[] = {BinaryOp::add,    BinaryOp::subtract,      BinaryOp::multiply,
                                   BinaryOp::divide, BinaryOp::relu_gradient, BinaryOp::gelu_gradient};

Expected unary_reference(UnaryOp op, const Values& x, auto type) {
  Expected expected;
  for (double value : x) {
    const auto v = static_cast<decltype(type)>(value), y = apply(op, v);
    // The share of x that gelu leaves is as exact as 1.
    op == UnaryOp::gelu ? expected.add(y, std::fabs(v)) : expected.add(y);
  }
  return expected;
}

TEST_P(Elementwise, UnaryAtRaggedSizesAndInPlace) {
  std::vector<std::int64_t> sizes = ragged_sizes;
  sizes.push_back(100003);  // several pieces
  for (DType dtype : float_types()) {
    for (std::int64_t n : sizes) {
      for (UnaryOp op : kUnaryOps) {
        SCOPED_TRACE(testing::Message() << "op " << static_cast<int>(op) << " n " << n << " " << name_of(dtype));
        const bool positive = op == UnaryOp::log || op == UnaryOp::sqrt;
        const Values x = uniform("x", n, dtype, positive ? 0 : -10, 10);
        const std::vector<Values> outputs = run([&](Device& device) {
          device->unary(op, device.in(dtype, {n}, x), device.out(dtype, {n}));
          const Out y = device.in_out(dtype, {n}, x);
          device->unary(op, y, y);
        });
        expect_matches(outputs[0], dtype, [&](auto type) { return unary_reference(op, x, type); });
        expect_equal(outputs[1], outputs[0]);
      }
    }
  }
}

TEST_P(Elementwise, SpecialValues) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Values x = {-infinity, infinity, nan, 0, -0.0, -1000, -100, -87.5, 88.7, 89, 1000, 1e-30, 1e30, -1e30, 1, -1, 2};
  for (DType dtype : float_types()) {
    Values held = x;
    for (double& value : held) value = rounded(value, dtype);
    for (UnaryOp op : kUnaryOps) {
      SCOPED_TRACE(testing::Message() << "op " << static_cast<int>(op) << " " << name_of(dtype));
      const std::vector<Values> outputs = run([&](Device& device) {
        const Shape shape{static_cast<std::int64_t>(x.size())};
        device->unary(op, device.in(dtype, shape, held), device.out(dtype, shape));
      });
      // Computed wider, then rounded to dtype, so that overflow and underflow are those of dtype.
      Expected expected;
      for (double value : held)
        expected.add(dtype == DType::f32 ? static_cast<float>(apply(op, value))
                                         : static_cast<long double>(apply(op, value)));
      compare(outputs[0], dtype, expected, expected);
    }
  }
}

/// Every octave of the arguments of e^x in f32, among them those with subnormal results.
TEST_P(Elementwise, ExponentialOverItsWholeRange) {
  Values x;
  for (double value = -104; value < 88.7; value += 0.00371) x.push_back(rounded(value, DType::f32));
  for (double value = 1e-38; value < 1; value *= 1.7) {
    x.push_back(rounded(value, DType::f32));
    x.push_back(-rounded(value, DType::f32));
  }
  const Shape shape{static_cast<std::int64_t>(x.size())};
  const std::vector<Values> outputs = run(
      [&](Device& device) { device->unary(UnaryOp::exp, device.in(DType::f32, shape, x), device.out(DType::f32, shape)); });
  long double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double exact = std::exp(static_cast<long double>(x[i]));
    worst = std::max(worst, std::fabs(outputs[0][i] - exact) / unit_in_last_place(DType::f32, exact));
  }
  EXPECT_LE(worst, is_cpu() ? 1.5 : 2) << "in units of the last place";  // documented: kernels/cpu/exp.h, CUDA's expf
}

/// Where little of x is left, it is still right to some digits; and nothing overflows.
TEST_P(Elementwise, GeluFarFromZero) {
  const Values x = {-8, -6, -4, -2, -0.01, 0.01, 2, 6, 30, 1e15, 1e30, -30, -1e15, -1e30};
  for (DType dtype : float_types()) {
    Values held = x;
    for (double& value : held) value = rounded(value, dtype);
    const Values ones(x.size(), 1.0);
    const Shape shape{static_cast<std::int64_t>(x.size())};
    const std::vector<Values> outputs = run([&](Device& device) {
      device->unary(UnaryOp::gelu, device.in(dtype, shape, held), device.out(dtype, shape));
      device->binary(BinaryOp::gelu_gradient, device.in(dtype, shape, ones), device.in(dtype, shape, held),
                     device.out(dtype, shape));
    });
    for (std::size_t i = 0; i < 9; ++i) {
      const auto v = static_cast<long double>(held[i]);
      const long double y = apply(UnaryOp::gelu, v), slope = apply(BinaryOp::gelu_gradient, 1.0L, v);
      EXPECT_NEAR(outputs[0][i], static_cast<double>(y), 1e-4 * std::fabs(static_cast<double>(y)) + 1e-30) << held[i];
      EXPECT_NEAR(outputs[1][i], static_cast<double>(slope), 1e-4 * std::fabs(static_cast<double>(slope)) + 1e-6) << held[i];
    }
    for (std::size_t i = 8; i < x.size(); ++i) {
      EXPECT_EQ(outputs[0][i], held[i] > 0 ? held[i] : 0) << held[i];
      EXPECT_EQ(outputs[1][i], held[i] > 0 ? 1 : 0) << held[i];
    }
  }
}

TEST_P(Elementwise, Affine) {
  for (DType dtype : float_types()) {
    for (std::int64_t n : ragged_sizes) {
      const Values x = uniform("x", n, dtype);
      const std::vector<Values> outputs = run([&](Device& device) {
        device->affine(device.in(dtype, {n}, x), 0.375, -1.25, device.out(dtype, {n}));
        const Out y = device.in_out(dtype, {n}, x);
        device->affine(y, 0.375, -1.25, y);
      });
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        Expected expected;
        for (double value : x) expected.add(T(0.375) * static_cast<T>(value) + T(-1.25), 1.25);
        return expected;
      });
      expect_equal(outputs[1], outputs[0]);
    }
  }
}

TEST_P(Elementwise, Broadcast) {
  struct Case {
    Shape a, b, y;
  };
  const std::vector<Case> cases = {
      {{}, {}, {}},
      {{7}, {}, {7}},
      {{}, {33}, {33}},
      {{257}, {257}, {257}},
      {{0, 3}, {3}, {0, 3}},
      {{31, 33}, {33}, {31, 33}},
      {{31, 33}, {31, 1}, {31, 33}},
      {{31, 1}, {1, 33}, {31, 33}},
      {{1}, {4, 1, 5}, {4, 1, 5}},
      {{2, 3, 4, 5}, {3, 1, 5}, {2, 3, 4, 5}},
      {{2, 1, 4, 1, 6}, {1, 3, 1, 5, 6}, {2, 3, 4, 5, 6}},
      {{3, 1, 1, 5}, {4, 6, 1}, {3, 4, 6, 5}},
      {{1, 1}, {1, 1}, {5, 7}},
      {{331, 127}, {127}, {331, 127}},
      {{400, 403}, {400, 403}, {400, 403}},
  };
  for (DType dtype : float_types()) {
    for (const Case& c : cases) {
      for (BinaryOp op : kBinaryOps) {
        SCOPED_TRACE(testing::Message() << "op " << static_cast<int>(op) << " " << c.a << " " << c.b << " " << c.y << " "
                                        << name_of(dtype));
        const Values a = uniform("a", c.a.count(), dtype), b = uniform("b", c.b.count(), dtype, -2, 3);
        const std::vector<Values> outputs = run([&](Device& device) {
          device->binary(op, device.in(dtype, c.a, a), device.in(dtype, c.b, b), device.out(dtype, c.y));
        });
        expect_matches(outputs[0], dtype, [&](auto type) {
          using T = decltype(type);
          // numpy's rule: dimensions are aligned at the last; a size of 1 repeats.
          const auto at = [&](const Values& values, const Shape& shape, std::int64_t index) {
            std::int64_t position = 0, step = 1;
            for (int i = 1; i <= shape.rank(); ++i) {
              const std::int64_t coordinate = index % c.y[c.y.rank() - i];
              index /= c.y[c.y.rank() - i];
              if (shape[shape.rank() - i] != 1) position += coordinate * step;
              step *= shape[shape.rank() - i];
            }
            return static_cast<T>(values[static_cast<std::size_t>(position)]);
          };
          Expected expected;
          for (std::int64_t i = 0; i < c.y.count(); ++i) {
            const T u = at(a, c.a, i), v = at(b, c.b, i), result = apply(op, u, v);
            const bool sum = op == BinaryOp::add || op == BinaryOp::subtract;
            // gelu' is about 1 at most, a sum of parts of that size whose exponents have several units in front of the
            // point.
            expected.add(result, sum                             ? std::max(std::fabs(u), std::fabs(v))
                                 : op == BinaryOp::gelu_gradient ? 4 * std::fabs(u)
                                                                 : result);
          }
          return expected;
        });
      }
    }
  }
}

TEST_P(Elementwise, BinaryInPlace) {
  for (DType dtype : float_types()) {
    const Values a = uniform("a", 1000, dtype), b = uniform("b", 1000, dtype);
    for (BinaryOp op : kBinaryOps) {
      const std::vector<Values> outputs = run([&](Device& device) {
        device->binary(op, device.in(dtype, {1000}, a), device.in(dtype, {1000}, b), device.out(dtype, {1000}));
        const Out left = device.in_out(dtype, {1000}, a), right = device.in_out(dtype, {1000}, b);
        device->binary(op, left, device.in(dtype, {1000}, b), left);
        device->binary(op, device.in(dtype, {1000}, a), right, right);
      });
      expect_equal(outputs[1], outputs[0]);
      expect_equal(outputs[2], outputs[0]);
    }
  }
}

TEST_P(Elementwise, DivisionByZeroIsInfinite) {
  const std::vector<Values> outputs = run([&](Device& device) {
    device->binary(BinaryOp::divide, device.in(DType::f32, {3}, {1, -1, 0}), device.in(DType::f32, {1}, {0}),
                   device.out(DType::f32, {3}));
  });
  EXPECT_EQ(outputs[0][0], std::numeric_limits<double>::infinity());
  EXPECT_EQ(outputs[0][1], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(outputs[0][2]));
}

INSTANTIATE_TEST_SUITE_P(On, Elementwise, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
