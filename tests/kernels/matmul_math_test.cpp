// Products in batches, in other arithmetic than f32, and with what they leave for gradients.
#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

class MatmulMath : public KernelTest {
 public:
  struct Case {
    std::int64_t batch, m, n, k;
    bool transpose_a = false, transpose_b = false, one_a = false, one_b = false, relu = false, accumulate = false;
    int bias = 0;  // 1: for all, 2: one per matrix
  };

  void check(const Case& c, DType operands, DType result, Math math) {
    SCOPED_TRACE(testing::Message() << c.batch << " x " << c.m << " " << c.n << " " << c.k << (c.transpose_a ? " A^T" : "")
                                    << (c.transpose_b ? " B^T" : "") << (c.one_a ? " one A" : "")
                                    << (c.one_b ? " one B" : "") << " bias " << c.bias << " " << name_of(operands) << " to "
                                    << name_of(result) << " " << name_of(math));
    // tf32 keeps all of these numbers, as it keeps all of bf16.
    const DType grid = math == Math::f32 ? operands : DType::bf16;
    const Values a = uniform("a", (c.one_a ? 1 : c.batch) * c.m * c.k, grid);
    const Values b = uniform("b", (c.one_b ? 1 : c.batch) * c.k * c.n, grid);
    const Values bias = uniform("bias", (c.bias == 2 ? c.batch : 1) * c.n, result);
    const Values before = uniform("before", c.batch * c.m * c.n, result);
    const std::vector<Values> outputs = run([&](Device& device) {
      const auto shape = [&](bool one, std::int64_t rows, std::int64_t columns) {
        return one ? Shape{rows, columns} : Shape{c.batch, rows, columns};
      };
      const In in_a = device.in(operands, c.transpose_a ? shape(c.one_a, c.k, c.m) : shape(c.one_a, c.m, c.k), a);
      const In in_b = device.in(operands, c.transpose_b ? shape(c.one_b, c.n, c.k) : shape(c.one_b, c.k, c.n), b);
      Epilogue epilogue{.relu = c.relu, .accumulate = c.accumulate};
      if (c.bias > 0) epilogue.bias = device.in(result, c.bias == 2 ? Shape{c.batch, c.n} : Shape{c.n}, bias);
      const Shape whole = shape(c.one_a && c.one_b, c.m, c.n);
      const Out out = c.accumulate ? device.in_out(result, whole, before) : device.out(result, whole);
      device->matmul(in_a, c.transpose_a, in_b, c.transpose_b, out, epilogue, math);
    });
    const auto reference = [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t q = 0; q < c.batch; ++q)
        for (std::int64_t i = 0; i < c.m; ++i)
          for (std::int64_t j = 0; j < c.n; ++j) {
            const std::int64_t first_a = c.one_a ? 0 : q * c.m * c.k, first_b = c.one_b ? 0 : q * c.k * c.n;
            PlainSum<T> sum;
            for (std::int64_t l = 0; l < c.k; ++l)
              sum.add(static_cast<T>(a[at(first_a + (c.transpose_a ? l * c.m + i : i * c.k + l))]) *
                      static_cast<T>(b[at(first_b + (c.transpose_b ? j * c.k + l : l * c.n + j))]));
            if (c.bias > 0) sum.add(static_cast<T>(bias[at((c.bias == 2 ? q * c.n : 0) + j)]));
            if (c.accumulate) sum.add(static_cast<T>(before[at((q * c.m + i) * c.n + j)]));
            if (c.relu) sum.value = std::max(sum.value, T(0));
            sum.add_to(expected);
          }
      return expected;
    };
    if (result == DType::f64) {
      compare(outputs[0], result, reference(static_cast<long double>(0)), reference(double{}));
    } else {
      compare(outputs[0], result, reference(double{}), reference(float{}));
    }
  }

  void check_all(const Case& c) {
    for (const DType dtype : float_types()) check(c, dtype, dtype, Math::f32);
    if (is_cpu()) return;
    check(c, DType::f32, DType::f32, Math::tf32);
    check(c, DType::bf16, DType::f32, Math::bf16);
    check(c, DType::bf16, DType::bf16, Math::bf16);
  }
};

TEST_P(MatmulMath, BatchesOfRaggedSizes) {
  const std::vector<std::array<std::int64_t, 4>> sizes = {{0, 3, 4, 5}, {1, 3, 4, 5},    {2, 0, 4, 5},   {3, 2, 0, 5},
                                                          {3, 2, 4, 0}, {5, 1, 1, 1},    {3, 31, 33, 2}, {2, 33, 32, 127},
                                                          {4, 7, 5, 1}, {3, 17, 13, 31}, {7, 16, 64, 16}};
  for (const auto& [batch, m, n, k] : sizes) {
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) check_all({batch, m, n, k, transpose_a, transpose_b});
    if (batch == 0) continue;  // a batch of none and a matrix for all: nothing to tell them apart by
    check_all({.batch = batch, .m = m, .n = n, .k = k, .one_a = true});
    check_all({.batch = batch, .m = m, .n = n, .k = k, .transpose_a = true, .one_b = true});
  }
}

TEST_P(MatmulMath, EpiloguesInBatches) {
  for (const auto& [batch, m, n, k] : std::vector<std::array<std::int64_t, 4>>{{1, 5, 7, 3}, {3, 9, 33, 17}, {2, 4, 6, 0}}) {
    for (const int bias : {0, 1, 2})
      for (const bool relu : {false, true}) check_all({.batch = batch, .m = m, .n = n, .k = k, .relu = relu, .bias = bias});
    check_all({.batch = batch, .m = m, .n = n, .k = k, .transpose_b = true, .accumulate = true});
  }
}

class MatmulMathOnCuda : public MatmulMath {};

TEST_P(MatmulMathOnCuda, SingleProductsInOtherArithmetic) {
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1}, {33, 10, 257}, {128, 64, 784}, {5, 3, 0}})
    for (const bool relu : {false, true})
      check_all({.batch = 1, .m = m, .n = n, .k = k, .one_a = true, .one_b = true, .relu = relu, .bias = 1});
}

// f32 is true f32: had tf32 been used, its error would show; and tf32 stays within what its 10 bits allow.
TEST_P(MatmulMathOnCuda, Tf32IsOnlyUsedWhereAskedFor) {
  const std::int64_t m = 32, n = 24, k = 100;
  const Values a = uniform("a", m * k), b = uniform("b", k * n);
  double worst[2] = {}, allowed = 0;
  for (const Math math : {Math::f32, Math::tf32}) {
    const std::vector<Values> outputs = run([&](Device& device) {
      device->matmul(device.in(DType::f32, {m, k}, a), false, device.in(DType::f32, {k, n}, b), false,
                     device.out(DType::f32, {m, n}), {}, math);
    });
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0, magnitude = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          sum += a[at(i * k + l)] * b[at(l * n + j)];
          magnitude += std::fabs(a[at(i * k + l)] * b[at(l * n + j)]);
        }
        double& error = worst[math == Math::tf32];
        error = std::max(error, std::fabs(outputs[0][at(i * n + j)] - sum));
        allowed = std::max(allowed, tolerance::tf32_product * magnitude);
      }
  }
  EXPECT_LE(worst[1], allowed);
  EXPECT_GT(worst[1], 20 * worst[0]) << "tf32 was asked for and not used, or f32 is not f32";
}

class MatmulGradients : public KernelTest {
 public:
  /// One layer y = relu(x w^T + bias) with a mask where the device leaves one, then dy = dz w' masked by y.
  void check_masked(std::int64_t m, std::int64_t n, std::int64_t k, bool sums, bool use_mask) {
    for (const DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << m << " " << n << " " << k << (sums ? " sums " : " ") << name_of(dtype));
      const Values x = uniform("x", m * k, dtype), w = uniform("w", n * k, dtype), bias = uniform("bias", n, dtype);
      const Values dz = uniform("dz", m * 5, dtype), v = uniform("v", 5 * n, dtype);
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_x = device.in(dtype, {m, k}, x), in_w = device.in(dtype, {n, k}, w);
        const Out y = device.out(dtype, {m, n});
        Epilogue forward{.bias = device.in(dtype, {n}, bias), .relu = true};
        const auto bytes = use_mask ? static_cast<std::int64_t>(device->relu_mask_bytes(in_x, false, in_w, true)) : 0;
        if (is_cpu() || k == 0) {
          EXPECT_EQ(bytes, 0);
        }
        if (bytes > 0) forward.relu_mask = aligned_mask(device, bytes);
        device->matmul(in_x, false, in_w, true, y, forward, Math::f32);
        Epilogue backward{.masked_by = y, .mask = forward.relu_mask};
        const Out dx = device.out(dtype, {m, n});
        if (sums) backward.column_sums = device.out(dtype, {n});
        device->matmul(device.in(dtype, {m, 5}, dz), false, device.in(dtype, {5, n}, v), false, dx, backward, Math::f32);
      });
      const Values& y = outputs[0];
      const std::size_t first = outputs.size() - (sums ? 2 : 1);
      const auto masked_product = [&](auto type, std::int64_t i, std::int64_t j) {
        using T = decltype(type);
        PlainSum<T> sum;
        for (std::int64_t l = 0; l < 5; ++l) sum.add(static_cast<T>(dz[at(i * 5 + l)]) * static_cast<T>(v[at(l * n + j)]));
        if (!(y[at(i * n + j)] > 0)) sum = {};
        return sum;
      };
      expect_matches(outputs[first], dtype, [&](auto type) {
        Expected expected;
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) masked_product(type, i, j).add_to(expected);
        return expected;
      });
      if (!sums) continue;
      expect_matches(outputs[first + 1], dtype, [&](auto type) {
        Expected expected;
        for (std::int64_t j = 0; j < n; ++j) {
          PlainSum<decltype(type)> sum;
          for (std::int64_t i = 0; i < m; ++i) sum.add(masked_product(type, i, j).value);
          sum.add_to(expected);
        }
        return expected;
      });
    }
  }

  /// dw = dz^T x with the sums of dz's columns.
  void check_sums_of_a(std::int64_t m, std::int64_t n, std::int64_t k) {
    for (const DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << m << " " << n << " " << k << " " << name_of(dtype));
      const Values dz = uniform("dz", k * m, dtype), x = uniform("x", k * n, dtype);
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_dz = device.in(dtype, {k, m}, dz), in_x = device.in(dtype, {k, n}, x);
        const Out dw = device.out(dtype, {m, n});
        device->matmul(in_dz, true, in_x, false, dw, {.sums_of_a = device.out(dtype, {m})}, Math::f32);
      });
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        Expected expected;
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            PlainSum<T> sum;
            for (std::int64_t l = 0; l < k; ++l)
              sum.add(static_cast<T>(dz[at(l * m + i)]) * static_cast<T>(x[at(l * n + j)]));
            sum.add_to(expected);
          }
        return expected;
      });
      expect_matches(outputs[1], dtype, [&](auto type) {
        using T = decltype(type);
        Expected expected;
        for (std::int64_t i = 0; i < m; ++i) {
          PlainSum<T> sum;
          for (std::int64_t l = 0; l < k; ++l) sum.add(static_cast<T>(dz[at(l * m + i)]));
          sum.add_to(expected);
        }
        return expected;
      });
    }
  }

 private:
  // A mask is aligned to 16 bytes also where the other arrays are not.
  static Out aligned_mask(Device& device, std::int64_t bytes) {
    const In memory = device.in(DType::u8, {bytes + 16}, Values(at(bytes + 16), 0xee));
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data);
    return {reinterpret_cast<void*>((address + 15) / 16 * 16), DType::u8, {bytes}};
  }
};

TEST_P(MatmulGradients, MaskAndColumnSums) {
  const std::vector<std::array<std::int64_t, 3>> sizes = {{0, 3, 4},    {3, 0, 4},      {3, 4, 0},    {1, 1, 1},
                                                          {128, 16, 9}, {33, 127, 3},   {2, 128, 7},  {31, 129, 2},
                                                          {257, 4, 4},  {600, 257, 13}, {128, 64, 64}};
  for (const auto& [m, n, k] : sizes)
    for (const bool sums : {false, true}) {
      check_masked(m, n, k, sums, true);
      check_masked(m, n, k, sums, false);
    }
}

TEST_P(MatmulGradients, SumsOfA) {
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
           {0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {1, 1, 1}, {10, 64, 128}, {33, 5, 257}, {4, 784, 128}, {257, 2, 31}})
    check_sums_of_a(m, n, k);
}

INSTANTIATE_TEST_SUITE_P(On, MatmulMath, testing::ValuesIn(devices()), device_test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MatmulMathOnCuda);  // a build without CUDA
INSTANTIATE_TEST_SUITE_P(On, MatmulMathOnCuda, testing::ValuesIn(cuda_devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, MatmulGradients, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
