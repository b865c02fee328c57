#include <cstring>

#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Case {
  std::int64_t n, c, h, w, k, r, s;
  ConvGeometry g = {};

  std::int64_t out_h() const { return (h + 2 * g.padding_h - r) / g.stride_h + 1; }
  std::int64_t out_w() const { return (w + 2 * g.padding_w - s) / g.stride_w + 1; }
  Shape x_shape() const { return {n, c, h, w}; }
  Shape w_shape() const { return {k, c / g.groups, r, s}; }
  Shape y_shape() const { return {n, k, out_h(), out_w()}; }
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.x_shape() << " * " << c.w_shape() << " stride " << c.g.stride_h << " " << c.g.stride_w << " padding "
       << c.g.padding_h << " " << c.g.padding_w << " groups " << c.g.groups;
}

const std::vector<Case> cases = {
    {1, 1, 1, 1, 1, 1, 1},
    {2, 3, 5, 7, 4, 3, 3, {1, 1, 1, 1, 1}},
    {3, 2, 9, 6, 5, 3, 2, {2, 3, 1, 0, 1}},
    {2, 4, 8, 8, 6, 3, 3, {2, 2, 1, 1, 2}},
    {1, 6, 7, 5, 6, 1, 3, {1, 2, 0, 1, 6}},
    {2, 3, 4, 4, 2, 5, 5, {1, 1, 2, 2, 1}},
    {1, 2, 3, 3, 3, 3, 3, {1, 1, 3, 3, 1}},  // some taps see nothing but padding
    {5, 1, 28, 28, 3, 5, 5, {1, 1, 0, 0, 1}},
    {2, 16, 6, 6, 33, 3, 3, {1, 1, 1, 1, 1}},
    {1, 2, 10, 11, 2, 2, 2, {3, 4, 0, 0, 1}},  // rows and columns at the end that no output sees
    {0, 3, 5, 5, 4, 3, 3},
    {2, 0, 5, 5, 4, 3, 3},
    {2, 3, 5, 5, 0, 3, 3},
};

class Conv2d : public KernelTest {
 protected:
  void SetUp() override {
    if (is_cpu()) return;
    Device device(backend(), 0);
    const auto one = [&] { return device.in_out(DType::f32, {1, 1, 1, 1}, {1}); };
    try {
      device->conv2d(one(), one(), {}, {}, one(), Math::f32);
    } catch (const Error& error) {
      const std::string text = error.what();
      if (text.find("made without cuDNN") == std::string::npos) throw;
      GTEST_SKIP() << text;
    }
  }

  /// Element (n, k, i, j) of y, (n, c, i, j) of dx, or (k, c, r, s) of dw goes with every term of its sum.
  template <class T, class Term>
  static void for_each_term(const Case& c, const Term& term) {
    const std::int64_t group_c = c.c / c.g.groups, group_k = c.k / c.g.groups;
    for (std::int64_t n = 0; n < c.n; ++n)
      for (std::int64_t k = 0; k < c.k; ++k)
        for (std::int64_t i = 0; i < c.out_h(); ++i)
          for (std::int64_t j = 0; j < c.out_w(); ++j)
            for (std::int64_t q = 0; q < group_c; ++q)
              for (std::int64_t r = 0; r < c.r; ++r)
                for (std::int64_t s = 0; s < c.s; ++s) {
                  const std::int64_t row = i * c.g.stride_h + r - c.g.padding_h,
                                     column = j * c.g.stride_w + s - c.g.padding_w;
                  if (row < 0 || row >= c.h || column < 0 || column >= c.w) continue;
                  const std::int64_t channel = k / group_k * group_c + q;
                  term(at(((n * c.c + channel) * c.h + row) * c.w + column), at(((k * group_c + q) * c.r + r) * c.s + s),
                       at(((n * c.k + k) * c.out_h() + i) * c.out_w() + j));
                }
  }

  enum class Part { y, dx, dw };
  template <class T>
  static Expected reference(const Case& c, Part part, const Values& x, const Values& w, const Values& y) {
    const std::size_t count = part == Part::y ? y.size() : part == Part::dx ? x.size() : w.size();
    std::vector<PlainSum<T>> sums(count);
    for_each_term<T>(c, [&](std::size_t a, std::size_t b, std::size_t d) {
      const auto p = static_cast<T>(x[a]), q = static_cast<T>(w[b]), g = static_cast<T>(y[d]);
      if (part == Part::y) sums[d].add(p * q);
      if (part == Part::dx) sums[a].add(g * q);
      if (part == Part::dw) sums[b].add(p * g);
    });
    Expected expected;
    for (const PlainSum<T>& sum : sums) sum.add_to(expected);
    return expected;
  }

  /// All three primitives with this arithmetic; the numbers are exact in bf16 and tf32 unless it is f32.
  std::vector<Values> run_all(const Case& c, DType dtype, Math math, const Values& x, const Values& w, const Values& dy) {
    return run([&](Device& device) {
      const In in_x = device.in(dtype, c.x_shape(), x), in_w = device.in(dtype, c.w_shape(), w);
      const In in_dy = device.in(dtype, c.y_shape(), dy);
      device->conv2d(in_x, in_w, {}, c.g, device.out(dtype, c.y_shape()), math);
      device->conv2d_data_gradient(in_dy, in_w, c.g, device.out(dtype, c.x_shape()), math);
      device->conv2d_weight_gradient(in_x, in_dy, c.g, device.out(dtype, c.w_shape()), {}, math);
    });
  }

  void check(const Case& c, DType dtype, Math math) {
    SCOPED_TRACE(testing::Message() << testing::PrintToString(c) << " " << name_of(dtype) << " " << name_of(math));
    const DType grid = math == Math::f32 ? dtype : DType::bf16;
    const Values x = uniform("x", c.x_shape().count(), grid), w = uniform("w", c.w_shape().count(), grid),
                 dy = uniform("dy", c.y_shape().count(), grid);
    const std::vector<Values> outputs = run_all(c, dtype, math, x, w, dy);
    for (const Part part : {Part::y, Part::dx, Part::dw}) {
      SCOPED_TRACE(static_cast<int>(part));
      const Values& actual = outputs[static_cast<std::size_t>(part)];
      if (dtype == DType::f64) {
        compare(actual, dtype, reference<long double>(c, part, x, w, dy), reference<double>(c, part, x, w, dy));
      } else {
        compare(actual, dtype, reference<double>(c, part, x, w, dy), reference<float>(c, part, x, w, dy));
      }
    }
  }
};

TEST_P(Conv2d, RaggedSizesStridesPaddingsAndGroups) {
  for (const Case& c : cases)
    for (const DType dtype : float_types()) check(c, dtype, Math::f32);
}

class Conv2dOnCuda : public Conv2d {};

TEST_P(Conv2dOnCuda, OtherArithmetic) {
  for (const Case& c : cases) {
    check(c, DType::f32, Math::tf32);
    check(c, DType::bf16, Math::bf16);
  }
}

// f32 is true f32: an engine with tensor cores would show.
TEST_P(Conv2dOnCuda, Tf32IsOnlyUsedWhereAskedFor) {
  const Case c{2, 8, 7, 7, 9, 3, 3, {1, 1, 1, 1, 1}};
  const Values x = uniform("x", c.x_shape().count()), w = uniform("w", c.w_shape().count()),
               dy = uniform("dy", c.y_shape().count());
  const std::vector<Values> exact = run_all(c, DType::f32, Math::f32, x, w, dy),
                            rounded = run_all(c, DType::f32, Math::tf32, x, w, dy);
  for (const Part part : {Part::y, Part::dx, Part::dw}) {
    const Expected truth = reference<double>(c, part, x, w, dy);
    compare(exact[static_cast<std::size_t>(part)], DType::f32, truth, reference<float>(c, part, x, w, dy));
    Values magnitudes_x = x, magnitudes_w = w, magnitudes_dy = dy;
    for (Values* values : {&magnitudes_x, &magnitudes_w, &magnitudes_dy})
      for (double& value : *values) value = std::fabs(value);
    const Expected magnitudes = reference<double>(c, part, magnitudes_x, magnitudes_w, magnitudes_dy);
    long double error = 0, error_of_f32 = 0;
    for (std::size_t i = 0; i < truth.values.size(); ++i) {
      const long double found = std::fabs(rounded[static_cast<std::size_t>(part)][i] - truth.values[i]);
      EXPECT_LE(found, tolerance::tf32_product * magnitudes.values[i]) << i;
      error = std::max(error, found);
      error_of_f32 = std::max(error_of_f32, std::fabs(exact[static_cast<std::size_t>(part)][i] - truth.values[i]));
    }
    EXPECT_GT(error, 20 * error_of_f32) << "tf32 was asked for and not used, or f32 is not f32";
  }
}

class Conv2dInF64 : public Conv2d {};

// The two gradients against central differences of sum(y * dy).
TEST_P(Conv2dInF64, GradientsAreThoseOfTheForward) {
  for (const Case& c : {cases[2], cases[3]}) {
    const DType dtype = DType::f64;
    Values x = uniform("x", c.x_shape().count(), dtype), w = uniform("w", c.w_shape().count(), dtype);
    const Values dy = uniform("dy", c.y_shape().count(), dtype);
    const std::vector<Values> outputs = run_all(c, dtype, Math::f32, x, w, dy);
    const auto loss = [&] {
      Device device(backend(), 0);
      device->conv2d(device.in(dtype, c.x_shape(), x), device.in(dtype, c.w_shape(), w), {}, c.g,
                     device.out(dtype, c.y_shape()), Math::f32);
      const std::vector<std::uint8_t> bytes = device.outputs().at(0);
      Values y(dy.size());
      std::memcpy(y.data(), bytes.data(), bytes.size());
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
      return sum;
    };
    const auto expect_differences = [&](Values& values, const Values& gradient) {
      for (std::size_t i = 0; i < values.size(); i += 3) {
        const double before = values[i], step = 1e-5;
        values[i] = before + step;
        const double above = loss();
        values[i] = before - step;
        const double below = loss();
        values[i] = before;
        EXPECT_NEAR(gradient[i], (above - below) / (2 * step), tolerance::central_difference) << i;
      }
    };
    expect_differences(x, outputs[1]);
    expect_differences(w, outputs[2]);
  }
}

// y with a bias, and the bias's gradient, of the plain convolution.
TEST_P(Conv2d, Bias) {
  for (const Case& c : cases)
    for (const DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << testing::PrintToString(c) << " " << name_of(dtype));
      const Values x = uniform("x", c.x_shape().count(), dtype), w = uniform("w", c.w_shape().count(), dtype),
                   dy = uniform("dy", c.y_shape().count(), dtype), bias = uniform("bias", c.k, dtype);
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_x = device.in(dtype, c.x_shape(), x);
        const Out y = device.out(dtype, c.y_shape()), dw = device.out(dtype, c.w_shape()), dbias = device.out(dtype, {c.k});
        device->conv2d(in_x, device.in(dtype, c.w_shape(), w), device.in(dtype, {c.k}, bias), c.g, y, Math::f32);
        device->conv2d_weight_gradient(in_x, device.in(dtype, c.y_shape(), dy), c.g, dw, dbias, Math::f32);
      });
      const std::int64_t plane = c.out_h() * c.out_w();
      const auto biased = [&](auto type) {
        using T = decltype(type);
        Expected expected;
        const Expected products = reference<T>(c, Part::y, x, w, dy);
        for (std::size_t i = 0; i < dy.size(); ++i) {
          const auto shift = static_cast<T>(bias[at(static_cast<std::int64_t>(i) / plane % c.k)]);
          expected.add(static_cast<T>(products.values[i]) + shift, products.largest[i] + std::fabs(shift),
                       products.typical_errors[i]);
        }
        return expected;
      };
      const auto sums = [&](auto type) {
        using T = decltype(type);
        std::vector<PlainSum<T>> channels(at(c.k));
        for (std::size_t i = 0; i < dy.size(); ++i)
          channels[at(static_cast<std::int64_t>(i) / plane % c.k)].add(static_cast<T>(dy[i]));
        Expected expected;
        for (const PlainSum<T>& sum : channels) sum.add_to(expected);
        return expected;
      };
      expect_matches(outputs[0], dtype, biased);
      expect_matches(outputs[1], dtype, [&](auto type) { return reference<decltype(type)>(c, Part::dw, x, w, dy); });
      expect_matches(outputs[2], dtype, sums);
    }
}

TEST_P(Conv2d, RefusesWhatDoesNotFit) {
  Device device(backend(), 0);
  const auto array = [&](DType dtype, const Shape& shape) {
    return device.in_out(dtype, shape, Values(at(shape.count()), 0));
  };
  const auto error = [&](const Shape& x, const Shape& w, const Shape& y, const ConvGeometry& g, DType dtype = DType::f32,
                         Math math = Math::f32) {
    return error_of([&] { device->conv2d(array(dtype, x), array(dtype, w), {}, g, array(dtype, y), math); });
  };
  const auto expect = [](const std::string& text, const char* part) {
    EXPECT_TRUE(text.starts_with("[conv2d] ") && text.find(part) != std::string::npos) << text;
  };
  expect(error({1, 2, 5, 5}, {4, 2, 3, 3}, {1, 4, 5, 5}, {}), "y must be f32 [1, 4, 3, 3], got f32 [1, 4, 5, 5]");
  expect(error({1, 2, 5, 5}, {4, 3, 3, 3}, {1, 4, 3, 3}, {}), "w must be f32 [4, 2, 3, 3]");
  expect(error({1, 3, 5, 5}, {4, 1, 3, 3}, {1, 4, 3, 3}, {.groups = 2}), "2 groups");
  expect(error({1, 2, 5, 5}, {4, 2, 6, 3}, {1, 4, 1, 3}, {}), "does not fit into the padded x");
  expect(error({1, 2, 5, 5}, {4, 2, 3, 3}, {1, 4, 3, 3}, {.stride_h = 0}), "strides and groups are at least 1");
  expect(error({1, 2, 5, 5}, {4, 2, 3, 3}, {1, 4, 3, 3}, {}, DType::i32), "got i32");
  expect(error({1, 2, 5, 5}, {4, 2, 3, 3}, {1, 4, 3, 3}, {}, DType::bf16), "math f32 does not go with operands in bf16");
  if (is_cpu()) expect(error({1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {}, DType::f32, Math::tf32), "got math tf32");
  if (!is_cpu()) expect(error({1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {}, DType::f64), "got f64");
  const std::string gradient = error_of([&] {
    device->conv2d_weight_gradient(array(DType::f32, {1, 2, 5, 5}), array(DType::f32, {1, 4, 2, 3}), {},
                                   array(DType::f32, {4, 2, 3, 3}), {}, Math::f32);
  });
  EXPECT_NE(gradient.find("[conv2d_weight_gradient] dy must be f32 [1, 4, 3, 3], got f32 [1, 4, 2, 3]"), std::string::npos)
      << gradient;
}

INSTANTIATE_TEST_SUITE_P(On, Conv2d, testing::ValuesIn(devices()), device_test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Conv2dOnCuda);  // a build without CUDA
INSTANTIATE_TEST_SUITE_P(On, Conv2dOnCuda, testing::ValuesIn(cuda_devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, Conv2dInF64, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
