#include "tests/kernels/central_difference.h"

namespace alma::test {
namespace {

std::size_t at(const Shape& shape, std::int64_t plane, std::int64_t row, std::int64_t column) {
  return static_cast<std::size_t>((plane * shape[2] + row) * shape[3] + column);
}

class Pool : public KernelTest {
 public:
  void check_max(const Shape& shape, const PoolWindow& window) {
    const Shape pooled{shape[0], shape[1], (shape[2] - window.height) / window.stride + 1,
                       (shape[3] - window.width) / window.stride + 1};
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << shape << ", window " << window.height << " x " << window.width << " / "
                                      << window.stride << " " << name_of(dtype));
      Values x = uniform("x", shape.count(), dtype);
      for (double& value : x) value = std::round(value * 8);  // with ties
      const Values dy = uniform("dy", pooled.count(), dtype);
      Values y, place;
      std::vector<std::vector<double>> terms(x.size());
      for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
        for (std::int64_t i = 0; i < pooled[2]; ++i) {
          for (std::int64_t j = 0; j < pooled[3]; ++j) {
            const auto element = [&](std::int64_t k) {
              return at(shape, plane, i * window.stride + k / window.width, j * window.stride + k % window.width);
            };
            std::int64_t best = 0;
            for (std::int64_t k = 0; k < window.height * window.width; ++k)
              if (x[element(k)] > x[element(best)]) best = k;
            y.push_back(x[element(best)]);
            place.push_back(static_cast<double>(best));
            terms[element(best)].push_back(dy[at(pooled, plane, i, j)]);
          }
        }
      }
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_x = device.in(dtype, shape, x);
        const Out out_place = device.out(DType::u8, pooled);
        device->max_pool(in_x, window, device.out(dtype, pooled), out_place);
        device->max_pool(in_x, window, device.out(dtype, pooled), {});
        device->max_pool_backward(device.in(dtype, pooled, dy), out_place, window, device.out(dtype, shape));
      });
      expect_equal(outputs[0], place);
      expect_equal(outputs[1], y);
      expect_equal(outputs[2], y);
      expect_matches(outputs[3], dtype, [&](auto type) {
        Expected expected;
        for (const std::vector<double>& list : terms) {
          PlainSum<decltype(type)> sum;
          for (double term : list) sum.add(static_cast<decltype(type)>(term));
          sum.add_to(expected);
        }
        return expected;
      });
    }
  }

  void check_average(const Shape& shape, std::int64_t oh, std::int64_t ow) {
    const Shape pooled{shape[0], shape[1], oh, ow};
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << shape << " to " << pooled << " " << name_of(dtype));
      const Values x = uniform("x", shape.count(), dtype), dy = uniform("dy", pooled.count(), dtype);
      const std::vector<Values> outputs = run([&](Device& device) {
        device->adaptive_average_pool(device.in(dtype, shape, x), device.out(dtype, pooled));
        device->adaptive_average_pool_backward(device.in(dtype, pooled, dy), device.out(dtype, shape));
      });
      // i belongs to output o where o h / oh < i + 1 and (o + 1) h / oh > i, in whole numbers.
      const auto belongs = [](std::int64_t i, std::int64_t o, std::int64_t inputs, std::int64_t outs) {
        return o * inputs < (i + 1) * outs && (o + 1) * inputs > i * outs;
      };
      const auto each_pair = [&](auto f) {  // f(output, element of its window)
        for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane)
          for (std::int64_t oi = 0; oi < oh; ++oi)
            for (std::int64_t oj = 0; oj < ow; ++oj)
              for (std::int64_t i = 0; i < shape[2]; ++i)
                for (std::int64_t j = 0; j < shape[3]; ++j)
                  if (belongs(i, oi, shape[2], oh) && belongs(j, oj, shape[3], ow))
                    f(at(pooled, plane, oi, oj), at(shape, plane, i, j));
      };
      std::vector<int> sizes(dy.size());
      each_pair([&](std::size_t output, std::size_t) { ++sizes[output]; });
      const auto sums = [&](auto type, std::size_t count, auto term) {
        std::vector<PlainSum<decltype(type)>> list(count);
        each_pair([&](std::size_t output, std::size_t element) { term(list, output, element); });
        return list;
      };
      expect_matches(outputs[0], dtype, [&](auto type) {
        using T = decltype(type);
        const auto list = sums(type, dy.size(), [&](auto& sum, std::size_t output, std::size_t element) {
          sum[output].add(static_cast<T>(x[element]));
        });
        Expected expected;
        for (std::size_t i = 0; i < list.size(); ++i) list[i].add_to(expected, 1 / static_cast<T>(sizes[i]));
        return expected;
      });
      expect_matches(outputs[1], dtype, [&](auto type) {
        using T = decltype(type);
        const auto list = sums(type, x.size(), [&](auto& sum, std::size_t output, std::size_t element) {
          sum[element].add(static_cast<T>(dy[output]) / static_cast<T>(sizes[output]));
        });
        Expected expected;
        for (const auto& sum : list) sum.add_to(expected);
        return expected;
      });
    }
  }
};

TEST_P(Pool, MaxOfPairs) {
  for (const Shape& shape :
       {Shape{2, 3, 2, 2}, Shape{3, 2, 4, 4}, Shape{2, 5, 8, 8}, Shape{3, 1, 32, 32}, Shape{2, 2, 5, 4}, Shape{1, 3, 7, 12},
        Shape{2, 1, 3, 5}, Shape{1, 2, 33, 31}, Shape{0, 3, 4, 4}, Shape{9, 33, 2, 2}})
    check_max(shape, {2, 2, 2});
}

TEST_P(Pool, MaxOfOtherWindows) {
  for (const PoolWindow& window : {PoolWindow{1, 1, 1}, PoolWindow{3, 3, 2}, PoolWindow{3, 3, 1}, PoolWindow{2, 3, 1},
                                   PoolWindow{2, 2, 3}, PoolWindow{5, 1, 2}, PoolWindow{7, 7, 100}})
    for (const Shape& shape : {Shape{2, 3, 7, 7}, Shape{1, 2, 8, 16}, Shape{1, 1, 31, 33}}) check_max(shape, window);
  check_max({1, 2, 16, 16}, {16, 16, 1});
  check_max({1, 1, 257, 3}, {2, 2, 1});
}

TEST_P(Pool, NanWinsAndTheLastOfThem) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const Values x = {1, nan, -infinity, -infinity, nan, infinity, -infinity, -infinity};
  for (DType dtype : float_types()) {
    const std::vector<Values> outputs = run([&](Device& device) {
      const In in_x = device.in(dtype, {1, 1, 2, 4}, x);
      const Out y = device.out(dtype, {1, 1, 1, 2}), place = device.out(DType::u8, {1, 1, 1, 2});
      device->max_pool(in_x, {2, 2, 2}, y, place);
      const Out overlapping = device.out(dtype, {1, 1, 1, 3}), places = device.out(DType::u8, {1, 1, 1, 3});
      device->max_pool(in_x, {2, 2, 1}, overlapping, places);
    });
    EXPECT_TRUE(std::isnan(outputs[0][0]) && outputs[0][1] == -infinity);
    expect_equal(outputs[1], {2, 0});
    EXPECT_TRUE(std::isnan(outputs[2][0]) && std::isnan(outputs[2][1]) && outputs[2][2] == -infinity);
    expect_equal(outputs[3], {2, 0, 0});
  }
}

TEST_P(Pool, AverageAtRaggedSizes) {
  for (const Shape& shape :
       {Shape{2, 3, 1, 1}, Shape{1, 2, 4, 4}, Shape{2, 2, 7, 5}, Shape{3, 1, 8, 31}, Shape{1, 2, 33, 32}, Shape{0, 2, 3, 3}})
    for (const std::int64_t oh : {1, 2, 4, 7})
      for (const std::int64_t ow : {1, 3, 4, 9}) check_average(shape, oh, ow);
  check_average({2, 4, 32, 32}, 4, 4);
  check_average({1, 2, 70, 71}, 1, 1);
}

class PoolInF64 : public Pool {};

TEST_P(PoolInF64, BackwardIsTheGradientOfTheForward) {
  const DType t = DType::f64;
  const Shape shape{2, 2, 5, 6}, averaged{2, 2, 3, 4};
  const Values x = uniform("x", shape.count(), t);
  for (const PoolWindow& window : {PoolWindow{2, 2, 2}, PoolWindow{3, 2, 1}}) {
    const Shape pooled{2, 2, (5 - window.height) / window.stride + 1, (6 - window.width) / window.stride + 1};
    const Values dy = uniform("dy", pooled.count(), t);
    Device device(backend(), 0);
    const Out place = device.out(DType::u8, pooled), dx = device.out(t, shape);
    device->max_pool(device.in(t, shape, x), window, device.out(t, pooled), place);
    device->max_pool_backward(device.in(t, pooled, dy), place, window, dx);
    expect_gradients({x}, {values_of(device, dx)}, [&](const std::vector<Values>& in) {
      Device other(backend(), 0);
      const Out y = other.out(t, pooled);
      other->max_pool(other.in(t, shape, in[0]), window, y, {});
      return dot(values_of(other, y), dy);
    });
  }
  const Values dy = uniform("dy", averaged.count(), t);
  Device device(backend(), 0);
  const Out dx = device.out(t, shape);
  device->adaptive_average_pool_backward(device.in(t, averaged, dy), dx);
  expect_gradients({x}, {values_of(device, dx)}, [&](const std::vector<Values>& in) {
    Device other(backend(), 0);
    const Out y = other.out(t, averaged);
    other->adaptive_average_pool(other.in(t, shape, in[0]), y);
    return dot(values_of(other, y), dy);
  });
}

INSTANTIATE_TEST_SUITE_P(On, Pool, testing::ValuesIn(devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, PoolInF64, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
