#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class GradientNorm : public KernelTest {
 public:
  void check(const std::vector<std::int64_t>& sizes) {
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << sizes.size() << " tensors, " << name_of(dtype));
      std::vector<Values> gradients;
      for (std::size_t i = 0; i < sizes.size(); ++i)
        gradients.push_back(uniform("gradient " + std::to_string(i), sizes[i], dtype));
      const std::vector<Values> outputs = run([&](Device& device) {
        std::vector<In> views;
        for (const Values& g : gradients) views.push_back(device.in(dtype, {static_cast<std::int64_t>(g.size())}, g));
        device->gradient_norm(views, device.out(dtype, {}));
      });
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        PlainSum<T> sum;
        for (const Values& values : gradients)
          for (const double g : values) sum.add(static_cast<T>(g) * static_cast<T>(g));
        const T norm = std::sqrt(sum.value);
        Expected expected;
        expected.add(norm, norm, norm == 0 ? T(0) : sum.typical_error() / (2 * norm));
        return expected;
      });
    }
  }
};

TEST_P(GradientNorm, RaggedSizesAndManyTensors) {
  check({});
  check({0});
  for (const std::int64_t n : {1, 3, 31, 33, 4095, 4097, 100003}) check({n});
  check({5, 0, 4097, 31});
  std::vector<std::int64_t> many;
  for (std::int64_t i = 0; i < 131; ++i) many.push_back(i * 37 % 257);
  check(many);
}

TEST_P(GradientNorm, Errors) {
  Device device(backend(), 0);
  const In gradient = device.in(DType::i32, {2}, {1, 2});
  const Out norm = device.in_out(DType::f32, {}, {0});
  EXPECT_EQ(error_of([&] {
              device->gradient_norm({&gradient, 1}, norm);
            }),
            "[gradient_norm] gradient must be f32 [2], got i32 [2]");
}

INSTANTIATE_TEST_SUITE_P(On, GradientNorm, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
