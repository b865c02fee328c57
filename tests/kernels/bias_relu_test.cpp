#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class BiasReluBackward : public KernelTest {
 public:
  void check(std::int64_t m, std::int64_t n, bool relu, bool dbias, bool in_place) {
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << "m " << m << " n " << n << (relu ? " relu" : "") << (dbias ? " dbias" : "")
                                      << (in_place ? " in place" : "") << " " << name_of(dtype));
      const Values dy = uniform("dy", m * n, dtype);
      Values y = uniform("y", m * n, dtype);
      for (double& value : y) value = std::max(value, 0.0);
      const std::vector<Values> outputs = run([&](Device& device) {
        const Shape shape{m, n};
        Out dz;
        In in_dy, in_y;
        if (relu && in_place) {
          dz = device.in_out(dtype, shape, dy);
          in_dy = dz;
        } else {
          in_dy = device.in(dtype, shape, dy);
          if (relu) dz = device.out(dtype, shape);
        }
        if (relu) in_y = device.in(dtype, shape, y);
        device->bias_relu_backward(in_dy, in_y, dz, dbias ? device.out(dtype, {n}) : Out{});
      });
      Values masked = dy;
      for (std::size_t i = 0; relu && i < dy.size(); ++i) masked[i] = y[i] > 0 ? dy[i] : 0;
      if (relu) expect_equal(outputs[0], masked);
      if (dbias)
        expect_matches(outputs.back(), dtype, [&](auto type) {
          using T = decltype(type);
          Expected expected;
          for (std::int64_t j = 0; j < n; ++j) {
            PlainSum<T> sum;
            for (std::int64_t i = 0; i < m; ++i) {
              sum.add(static_cast<T>(masked[static_cast<std::size_t>(i * n + j)]));
            }
            sum.add_to(expected);
          }
          return expected;
        });
    }
  }
};

TEST_P(BiasReluBackward, RaggedSizes) {
  for (const std::int64_t m : ragged_sizes)
    for (const std::int64_t n : {0, 1, 4, 10, 31, 33, 257}) check(m, n, true, true, false);
}

TEST_P(BiasReluBackward, WithAndWithoutEachPart) {
  check(33, 7, false, true, false);
  check(33, 7, true, false, false);
  check(33, 7, true, true, true);
  check(0, 7, false, true, false);
}

TEST_P(BiasReluBackward, ManyRows) { check(10007, 16, true, true, false); }

INSTANTIATE_TEST_SUITE_P(On, BiasReluBackward, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
