#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Mix : public KernelTest {
 public:
  void check(std::int64_t rows, std::int64_t n, std::int64_t k) {
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << rows << " x " << n << ", " << k << " experts " << name_of(dtype));
      const Values gates = uniform("gates", rows * k, dtype, 0, 1), dy = uniform("dy", rows * n, dtype);
      std::vector<Values> experts;
      for (std::int64_t e = 0; e < k; ++e) experts.push_back(uniform("expert" + std::to_string(e), rows * n, dtype));
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_gates = device.in(dtype, {rows, k}, gates);
        std::vector<In> in_experts;
        for (const Values& expert : experts) in_experts.push_back(device.in(dtype, {rows, n}, expert));
        device->mix(in_gates, in_experts, device.out(dtype, {rows, n}));
        const Out dgates = device.out(dtype, {rows, k});
        std::vector<Out> dexperts;
        for (std::int64_t e = 0; e < k; ++e) dexperts.push_back(device.out(dtype, {rows, n}));
        device->mix_backward(in_gates, in_experts, device.in(dtype, {rows, n}, dy), dgates, dexperts);
      });
      const auto at = [](const Values& values, std::int64_t i) { return values[static_cast<std::size_t>(i)]; };
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        Expected expected;
        for (std::int64_t i = 0; i < rows * n; ++i) {
          PlainSum<T> sum;
          for (std::int64_t e = 0; e < k; ++e) {
            sum.add(static_cast<T>(at(gates, i / n * k + e)) * static_cast<T>(at(experts[static_cast<std::size_t>(e)], i)));
          }
          sum.add_to(expected);
        }
        return expected;
      });
      expect_matches(outputs[1], dtype, [&](auto type) {
        using T = decltype(type);
        Expected expected;
        for (std::int64_t i = 0; i < rows * k; ++i) {
          PlainSum<T> sum;
          for (std::int64_t j = 0; j < n; ++j) {
            const std::int64_t index = i / k * n + j;
            sum.add(static_cast<T>(at(experts[static_cast<std::size_t>(i % k)], index)) * static_cast<T>(at(dy, index)));
          }
          sum.add_to(expected);
        }
        return expected;
      });
      for (std::int64_t e = 0; e < k; ++e) {
        expect_matches(outputs[static_cast<std::size_t>(2 + e)], dtype, [&](auto type) {
          using T = decltype(type);
          Expected expected;
          for (std::int64_t i = 0; i < rows * n; ++i)
            expected.add(static_cast<T>(at(gates, i / n * k + e)) * static_cast<T>(at(dy, i)));
          return expected;
        });
      }
    }
  }
};

TEST_P(Mix, RaggedSizes) {
  for (const std::int64_t rows : {0, 1, 31, 33, 128})
    for (const std::int64_t n : {0, 1, 2, 10, 32, 33, 257}) check(rows, n, 3);
}

TEST_P(Mix, EveryNumberOfExperts) {
  for (std::int64_t k = 1; k <= 16; ++k) check(17, 13, k);
}

TEST_P(Mix, ManyRows) { check(3001, 64, 4); }

INSTANTIATE_TEST_SUITE_P(On, Mix, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
