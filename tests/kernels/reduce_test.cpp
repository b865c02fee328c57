#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Reduce : public KernelTest {
 public:
  void check_sum(const Shape& from, const Shape& to) {
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << from << " to " << to << " " << name_of(dtype));
      const Values x = uniform("x", from.count(), dtype);
      const std::vector<Values> outputs =
          run([&](Device& device) { device->reduce_sum(device.in(dtype, from, x), device.out(dtype, to)); });
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        std::vector<PlainSum<T>> sums(static_cast<std::size_t>(to.count()));
        for (std::int64_t i = 0; i < from.count(); ++i) {
          std::int64_t rest = i, position = 0, step = 1;
          for (int d = from.rank() - 1; d >= 0; --d) {
            if (to[d] != 1) position += rest % from[d] * step;
            rest /= from[d];
            step *= to[d];
          }
          sums[static_cast<std::size_t>(position)].add(static_cast<T>(x[static_cast<std::size_t>(i)]));
        }
        Expected expected;
        for (const PlainSum<T>& sum : sums) sum.add_to(expected);
        return expected;
      });
    }
  }
};

TEST_P(Reduce, SumOfRowsColumnsAndAllAtRaggedSizes) {
  for (const std::int64_t m : ragged_sizes) {
    for (const std::int64_t n : {0, 1, 4, 31, 33, 257}) {
      check_sum({m, n}, {m, 1});
      check_sum({m, n}, {1, n});
      check_sum({m, n}, {1, 1});
      check_sum({m, n}, {m, n});
    }
  }
}

TEST_P(Reduce, SumOfAnyDimensions) {
  const Shape x{3, 5, 2, 7, 4};
  for (int mask = 0; mask < 32; ++mask) {
    Shape y = x;
    for (int d = 0; d < 5; ++d)
      if (mask >> d & 1) y[d] = 1;
    check_sum(x, y);
  }
  check_sum({}, {});
  check_sum({1, 1, 1}, {1, 1, 1});
  check_sum({2, 0, 3}, {2, 1, 3});
}

TEST_P(Reduce, LongSums) {
  check_sum({100003}, {1});
  check_sum({40009, 10}, {1, 10});
  check_sum({10, 40009}, {10, 1});
  check_sum({20, 30, 503}, {1, 30, 1});
  check_sum({3, 1009, 700}, {3, 1, 700});
}

TEST_P(Reduce, ArgmaxTakesTheLowestIndexAndSkipsNan) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Values x = {1,         3,         3,         2,          // tie
                    nan,       -5,        nan,       -6,         // NaN loses
                    nan,       nan,       -infinity, nan,        // even to -inf
                    -infinity, -infinity, -infinity, -infinity,  // all equal
                    0,         infinity,  infinity,  nan};
  for (DType dtype : float_types()) {
    const std::vector<Values> outputs = run([&](Device& device) {
      device->argmax(device.in(dtype, {5, 4}, x), device.out(DType::i32, {5}));
    });
    expect_equal(outputs[0], {1, 1, 2, 0, 1});
  }
}

TEST_P(Reduce, ArgmaxAtRaggedSizes) {
  for (DType dtype : float_types()) {
    for (const std::int64_t m : ragged_sizes) {
      for (const std::int64_t n : {1, 2, 10, 31, 32, 33, 257, 1009}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " " << name_of(dtype));
        Values x = uniform("x", m * n, dtype);
        for (double& value : x) value = std::round(value * 20);  // with ties
        const std::vector<Values> outputs = run([&](Device& device) {
          device->argmax(device.in(dtype, {m, n}, x), device.out(DType::i32, {m}));
        });
        Values expected;
        for (std::int64_t i = 0; i < m; ++i)
          expected.push_back(
              static_cast<double>(std::max_element(x.begin() + i * n, x.begin() + (i + 1) * n) - (x.begin() + i * n)));
        expect_equal(outputs[0], expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, Reduce, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
