#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class Cast : public KernelTest {
 public:
  void check(const Values& x, DType from, DType to) {
    SCOPED_TRACE(testing::Message() << x.size() << " of " << name_of(from) << " to " << name_of(to));
    const Shape shape{static_cast<std::int64_t>(x.size())};
    const std::vector<Values> outputs = run([&](Device& device) {
      const In in = device.in(from, shape, x);
      device->cast(in, device.out(to, shape));
    });
    Values expected = x;
    for (double& value : expected) value = to == DType::bf16 ? nearest_bf16(value) : rounded(value, to);
    expect_equal(outputs[0], expected);
  }

 private:
  // Eight significant bits, ties to even, written without bits: for normal numbers within the range.
  static double nearest_bf16(double value) {
    int exponent = 0;
    const double fraction = std::frexp(value, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
  }
};

TEST_P(Cast, RaggedSizes) {
  for (const std::int64_t n : {0, 1, 7, 8, 9, 31, 32, 33, 257, 4099}) {
    check(uniform("cast", n), DType::f32, DType::bf16);
    check(uniform("cast", n, DType::bf16), DType::bf16, DType::f32);
    if (!is_cpu()) continue;
    check(uniform("cast", n), DType::f32, DType::f64);
    check(uniform("cast", n, DType::f64), DType::f64, DType::f32);
  }
}

TEST_P(Cast, TiesGoToEvenAndTheLargestOnesToInfinity) {
  // 1 + k / 256: every other one lies between two bf16.
  Values x;
  for (int k = 0; k < 256; ++k) x.push_back(1 + k / 256.0);
  for (int k = 0; k < 256; ++k) x.push_back(-std::ldexp(1 + k / 256.0, -100));
  check(x, DType::f32, DType::bf16);
  const std::vector<Values> outputs = run([&](Device& device) {
    const In in = device.in(DType::f32, {3}, {std::numeric_limits<float>::max(), 3.38953139e38, 1e-45});
    device->cast(in, device.out(DType::bf16, {3}));
  });
  EXPECT_EQ(outputs[0], (Values{std::numeric_limits<double>::infinity(), std::ldexp(255.0, 120), 0}));
}

TEST_P(Cast, NanAndInfinityStay) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::int64_t n : {4, 16}) {
    Values x(static_cast<std::size_t>(n), infinity);
    x[1] = -infinity;
    x[2] = nan;
    for (const auto& [from, to] : {std::pair{DType::f32, DType::bf16}, std::pair{DType::bf16, DType::f32}}) {
      const std::vector<Values> outputs = run([&, from = from, to = to](Device& device) {
        const In in = device.in(from, {n}, x);
        device->cast(in, device.out(to, {n}));
      });
      EXPECT_EQ(outputs[0][0], infinity);
      EXPECT_EQ(outputs[0][1], -infinity);
      EXPECT_TRUE(std::isnan(outputs[0][2]));
    }
  }
}

TEST(HostBf16, EveryNanStaysOne) {
  for (const std::uint32_t bits : {0x7f800001u, 0x7f80ffffu, 0x7fffffffu, 0xff800001u, 0xffffffffu})
    EXPECT_TRUE(std::isnan(static_cast<float>(Bf16(std::bit_cast<float>(bits))))) << bits;
}

TEST_P(Cast, RefusesOtherTypesAndShapes) {
  Device device(backend(), 0);
  const In x = device.in(DType::f32, {2}, {1, 2});
  const auto error = [&](const Out& y) { return error_of([&] { device->cast(x, y); }); };
  EXPECT_NE(error(device.in_out(DType::i32, {2}, {0, 0})).find("got f32 to i32"), std::string::npos);
  EXPECT_NE(error(device.in_out(DType::f32, {2}, {0, 0})).find("got f32 to f32"), std::string::npos);
  EXPECT_NE(error(device.in_out(DType::bf16, {3}, {0, 0, 0})).find("[cast] y must be bf16 [2]"), std::string::npos);
  if (is_cpu()) return;
  EXPECT_NE(error(device.in_out(DType::f64, {2}, {0, 0})).find("[cast] cuda casts"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(On, Cast, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
