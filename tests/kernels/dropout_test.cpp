#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Dropout : public KernelTest {};

// Element i is kept where number i of the stream named by the step is not below probability * 2^32.
TEST_P(Dropout, FollowsItsStreamAtRaggedSizesAndInPlace) {
  for (DType dtype : float_types()) {
    for (const std::int64_t step : {std::int64_t{0}, std::int64_t{5}, std::int64_t{1} << 33}) {
      for (const std::int64_t n : {0, 1, 3, 4, 31, 33, 257, 5003}) {
        for (const double probability : {0.0, 0.1, 0.5, 0.999}) {
          SCOPED_TRACE(testing::Message() << n << " step " << step << " p " << probability << " " << name_of(dtype));
          const Values x = uniform("x", n, dtype, 1, 2);
          const std::vector<Values> outputs = run([&](Device& device) {
            const RandomPlace place{RandomStream::key(11, "dropout test"), device.step_state({step, 0.1})};
            device->dropout(device.in(dtype, {n}, x), probability, place, device.out(dtype, {n}));
            const Out y = device.in_out(dtype, {n}, x);
            device->dropout(y, probability, place, y);
          });
          RandomStream random(11, "dropout test", static_cast<std::uint64_t>(step));
          std::vector<bool> kept;
          for (std::int64_t i = 0; i < n; ++i) kept.push_back(random.bits() >= probability * 0x1p32 - 1);
          for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(outputs[0][i] != 0, kept[i]) << i;
          expect_matches(outputs[0], dtype, [&](auto type) {
            using T = decltype(type);
            Expected expected;
            for (std::size_t i = 0; i < x.size(); ++i)
              expected.add(kept[i] ? static_cast<T>(x[i]) * static_cast<T>(1 / (1 - probability)) : T(0));
            return expected;
          });
          expect_equal(outputs[1], outputs[0]);
        }
      }
    }
  }
}

// A part of a batch gets the bits that it has in the whole one, wherever it begins in a block of four.
TEST_P(Dropout, OfPartsIsThatOfTheWhole) {
  constexpr std::int64_t n = 1003;
  for (DType dtype : float_types()) {
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{6}, (std::int64_t{1} << 34) + 3}) {
      SCOPED_TRACE(testing::Message() << "from " << start << " " << name_of(dtype));
      const Values x = uniform("x", n, dtype, 1, 2);
      const std::uint64_t key = RandomStream::key(11, "parts");
      const Values whole = run([&](Device& device) {
        device->dropout(device.in(dtype, {n}, x), 0.5, {key, device.step_state({4, 0}), start}, device.out(dtype, {n}));
      })[0];
      std::int64_t first = 0;
      for (const std::int64_t length : {0, 1, 2, 3, 257, 4, 5, 400, 331}) {
        const Values part(x.begin() + first, x.begin() + first + length);
        const Values found = run([&](Device& device) {
          const RandomPlace place{key, device.step_state({4, 0}), start + first};
          device->dropout(device.in(dtype, {length}, part), 0.5, place, device.out(dtype, {length}));
        })[0];
        expect_equal(found, {whole.begin() + first, whole.begin() + first + length});
        first += length;
      }
      ASSERT_EQ(first, n);
    }
  }
}

TEST_P(Dropout, StartsAtItsFirstNumber) {
  constexpr std::int64_t n = 50, first = 7;
  RandomStream random(11, "first", 4);
  for (int i = 0; i < first; ++i) random.bits();
  const Values found = run([&](Device& device) {
    const RandomPlace place{RandomStream::key(11, "first"), device.step_state({4, 0}), first};
    device->dropout(device.in(DType::f32, {n}, Values(n, 1)), 0.5, place, device.out(DType::f32, {n}));
  })[0];
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(found[i], random.bits() >= 0x80000000u ? 2 : 0) << i;
}

TEST_P(Dropout, KeepsTheMeanAndChangesWithTheStep) {
  constexpr std::int64_t n = 100000;
  const Values ones(n, 1);
  std::vector<Values> steps;
  for (const std::int64_t step : {1, 2}) {
    steps.push_back(run([&](Device& device) {
      const RandomPlace place{RandomStream::key(11, "mean"), device.step_state({step, 0})};
      device->dropout(device.in(DType::f32, {n}, ones), 0.3, place, device.out(DType::f32, {n}));
    })[0]);
    double sum = 0;
    for (double y : steps.back()) sum += y;
    EXPECT_NEAR(sum / n, 1, 5 * std::sqrt(0.3 / 0.7 / n));  // five standard deviations
  }
  std::int64_t both = 0;
  for (std::size_t i = 0; i < n; ++i) both += steps[0][i] != 0 && steps[1][i] != 0 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(both) / n, 0.49, 5 * std::sqrt(0.49 * 0.51 / n));
}

TEST_P(Dropout, Errors) {
  Device device(backend(), 0);
  const In x = device.in(DType::f32, {2}, {1, 2});
  const Out y = device.in_out(DType::f32, {2}, {0, 0});
  const RandomPlace place{1, device.step_state({})};
  for (const double probability : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_TRUE(error_of([&] { device->dropout(x, probability, place, y); }).starts_with("[dropout] the probability"));
  EXPECT_TRUE(error_of([&] { device->dropout(x, 0.5, {}, y); }).starts_with("[dropout] the step state"));
  const std::string message = error_of([&] { device->dropout(x, 0.5, {1, place.state, -1}, y); });
  EXPECT_TRUE(message.starts_with("[dropout] the number of the first")) << message;
}

INSTANTIATE_TEST_SUITE_P(On, Dropout, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
