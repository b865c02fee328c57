#include "tests/kernels/lanes_test.h"

namespace alma::test {
namespace {

struct Case {
  std::int64_t n, c, h, w, k, size;

  ConvGeometry geometry() const { return {.padding_h = size / 2, .padding_w = size / 2}; }
  Shape x() const { return {n, c, h, w}; }
  Shape y() const { return {n, k, h, w}; }
  Shape filter() const { return {k, c, size, size}; }
};

class ConvLanes : public LanesTest {
 protected:
  /// Plain loops: y, dx, dw and dbias.
  template <class T>
  static std::vector<Expected> reference(const Case& c, const Values& x, const Values& w, const Values& bias,
                                         const Values& dy) {
    std::vector<PlainSum<T>> y(dy.size()), dx(x.size()), dw(w.size()), dbias(bias.size());
    const std::int64_t padding = c.size / 2;
    std::size_t out = 0;
    each(c.y(), [&](std::int64_t n, std::int64_t k, std::int64_t i, std::int64_t j) {
      const auto slope = static_cast<T>(dy[out]);
      y[out].add(static_cast<T>(bias[at(k)]));
      dbias[at(k)].add(slope);
      for (std::int64_t channel = 0; channel < c.c; ++channel)
        for (std::int64_t r = std::max<std::int64_t>(0, padding - i); r < std::min(c.size, c.h + padding - i); ++r)
          for (std::int64_t s = std::max<std::int64_t>(0, padding - j); s < std::min(c.size, c.w + padding - j); ++s) {
            const std::size_t in = at(((n * c.c + channel) * c.h + i + r - padding) * c.w + j + s - padding);
            const std::size_t tap = at(((k * c.c + channel) * c.size + r) * c.size + s);
            y[out].add(static_cast<T>(x[in]) * static_cast<T>(w[tap]));
            dx[in].add(slope * static_cast<T>(w[tap]));
            dw[tap].add(slope * static_cast<T>(x[in]));
          }
      ++out;
    });
    std::vector<Expected> expected(4);
    const std::vector<PlainSum<T>>* all[] = {&y, &dx, &dw, &dbias};
    for (std::size_t i = 0; i < 4; ++i)
      for (const PlainSum<T>& sum : *all[i]) sum.add_to(expected[i]);
    return expected;
  }

  void check(const Case& c) {
    SCOPED_TRACE(testing::Message() << c.x() << " * " << c.filter());
    const Values x = uniform("x", c.x().count()), w = uniform("w", c.filter().count()), dy = uniform("dy", c.y().count()),
                 bias = uniform("bias", c.k);
    const std::vector<Expected> truth = reference<double>(c, x, w, bias, dy), plain = reference<float>(c, x, w, bias, dy);
    const std::vector<Values> actual = run([&](Device& d) {
      const In in_x = lanes(d, c.x(), x), in_w = d.in(DType::f32, c.filter(), w), in_dy = lanes(d, c.y(), dy);
      d->conv2d(in_x, in_w, d.in(DType::f32, {c.k}, bias), c.geometry(), lanes_out(d, c.y()), Math::f32);
      d->conv2d_data_gradient(in_dy, in_w, c.geometry(), lanes_out(d, c.x()), Math::f32);
      const Out dw = d.out(DType::f32, c.filter()), dbias = d.out(DType::f32, {c.k});
      d->conv2d_weight_gradient(in_x, in_dy, c.geometry(), dw, dbias, Math::f32);
    });
    const Values outputs[] = {from_lanes(c.y(), actual[0]), from_lanes(c.x(), actual[1]), actual[2], actual[3]};
    for (std::size_t i = 0; i < 4; ++i) {
      SCOPED_TRACE(testing::Message() << "output " << i);
      compare(outputs[i], DType::f32, truth[i], plain[i]);
    }
  }
};

TEST_P(ConvLanes, RaggedBatches) {
  for (const std::int64_t n : ragged_batches)
    for (const std::int64_t size : {1, 3}) check({n, 3, 5, 6, 4, size});
}

TEST_P(ConvLanes, RaggedChannels) {
  for (const std::int64_t c : {1, 3, 4, 5, 16, 17, 64, 67})
    for (const std::int64_t k : {1, 3, 4, 5, 16, 17, 64, 67})
      for (const std::int64_t size : {1, 3}) check({17, c, 3, 2, k, size});
}

TEST_P(ConvLanes, RaggedSizes) {
  for (const std::int64_t h : {1, 2, 3, 4, 7, 8, 32})
    for (const std::int64_t w : {1, 2, 3, 4, 5, 8, 13, 16, 32, 33})
      for (const std::int64_t size : {1, 3}) check({18, 2, h, w, 5, size});
}

// More than one band of rows, group of channels and chunk of blocks.
TEST_P(ConvLanes, LargeLayers) {
  check({128, 16, 8, 8, 16, 3});
  check({128, 64, 4, 4, 16, 3});
  check({128, 10, 4, 6, 67, 3});
  check({513, 8, 2, 2, 8, 3});
  check({17, 64, 10, 14, 64, 3});
  check({33, 35, 32, 33, 6, 3});
  check({33, 6, 32, 33, 70, 3});
  check({128, 16, 4, 4, 16, 3});
}

// Tiles of 2 x 4 fit and there are some channels: Winograd's form, its strips of tiles within one row and over several rows.
TEST_P(ConvLanes, LayersOfTiles) {
  check({1, 16, 8, 16, 16, 3});
  check({1, 17, 8, 12, 19, 3});
  check({1, 21, 2, 64, 18, 3});
  check({1, 18, 32, 4, 21, 3});
}

// Strips over several blocks too.
TEST_P(ConvLanes, LargeLayersOfTiles) {
  for (const std::int64_t n : {17, 33}) {
    check({n, 16, 8, 16, 16, 3});
    check({n, 17, 8, 12, 19, 3});
    check({n, 21, 2, 64, 18, 3});
    check({n, 18, 32, 4, 21, 3});
  }
}

TEST_P(ConvLanes, NothingAndNoBias) {
  for (const Case& c : {Case{0, 3, 4, 4, 5, 3}, Case{17, 0, 4, 4, 5, 3}, Case{17, 3, 4, 4, 0, 3}}) check(c);
  const Case c{17, 3, 4, 5, 6, 3};
  const Values x = uniform("x", c.x().count()), w = uniform("w", c.filter().count()), dy = uniform("dy", c.y().count());
  const std::vector<Values> with = run([&](Device& d) {
    const In in_x = lanes(d, c.x(), x);
    d->conv2d(in_x, d.in(DType::f32, c.filter(), w), d.in(DType::f32, {c.k}, Values(at(c.k), 0)), c.geometry(),
              lanes_out(d, c.y()), Math::f32);
    const Out dw = d.out(DType::f32, c.filter()), dbias = d.out(DType::f32, {c.k});
    d->conv2d_weight_gradient(in_x, lanes(d, c.y(), dy), c.geometry(), dw, dbias, Math::f32);
  });
  const std::vector<Values> without = run([&](Device& d) {
    const In in_x = lanes(d, c.x(), x);
    d->conv2d(in_x, d.in(DType::f32, c.filter(), w), {}, c.geometry(), lanes_out(d, c.y()), Math::f32);
    d->conv2d_weight_gradient(in_x, lanes(d, c.y(), dy), c.geometry(), d.out(DType::f32, c.filter()), {}, Math::f32);
  });
  EXPECT_EQ(from_lanes(c.y(), with[0]), from_lanes(c.y(), without[0]));
  EXPECT_EQ(with[1], without[1]);
}

TEST_P(ConvLanes, GeometriesThatItDoesNotHave) {
  Device d(backend(), 0);
  const auto error = [&](const Shape& filter, const ConvGeometry& geometry, const Shape& y) {
    const Shape x{2, 4, 6, 6};
    return error_of([&] {
      d->conv2d(lanes(d, x, Values(at(x.count()), 0)), d.in(DType::f32, filter, Values(at(filter.count()), 0)), {}, geometry,
                lanes_out(d, y), Math::f32);
    });
  };
  const auto expect = [](const std::string& text, const char* part) {
    EXPECT_TRUE(text.starts_with("[conv2d] in lanes16: 3 x 3 with padding 1 or 1 x 1 without, stride 1, 1 group, got w") &&
                text.find(part) != std::string::npos)
        << text;
  };
  expect(error({4, 4, 3, 3}, {}, {2, 4, 4, 4}), "paddings 0 and 0");
  expect(error({4, 4, 1, 1}, {.padding_h = 1, .padding_w = 1}, {2, 4, 8, 8}), "paddings 1 and 1");
  expect(error({4, 4, 3, 1}, {.padding_h = 1}, {2, 4, 6, 6}), "[4, 4, 3, 1]");
  expect(error({4, 4, 3, 3}, {.stride_h = 2, .stride_w = 2, .padding_h = 1, .padding_w = 1}, {2, 4, 3, 3}), "strides 2");
  expect(error({4, 2, 3, 3}, {.padding_h = 1, .padding_w = 1, .groups = 2}, {2, 4, 6, 6}), "2 groups");
  const std::string mixed = error_of([&] {
    d->conv2d(lanes(d, {1, 1, 2, 2}, Values(4, 0)), d.in(DType::f32, {1, 1, 1, 1}, {0}), {}, {},
              d.out(DType::f32, {1, 1, 2, 2}), Math::f32);
  });
  EXPECT_EQ(mixed, "[conv2d] y [1, 1, 2, 2] must be lanes16, got row_major");
}

INSTANTIATE_TEST_SUITE_P(On, ConvLanes, testing::ValuesIn(cpu_devices()), device_test_name);

class ConvertLayout : public LanesTest {};

TEST_P(ConvertLayout, ThereAndBack) {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 33})
    for (const std::int64_t c : {1, 3})
      for (const std::int64_t h : {1, 3})
        for (const std::int64_t w : {1, 2, 15, 16, 17, 33}) {
          const Shape shape{n, c, h, w};
          SCOPED_TRACE(testing::Message() << shape);
          const Values x = uniform("x", shape.count());
          const std::vector<Values> outputs = run([&](Device& d) {
            d->convert_layout(d.in(DType::f32, shape, x), lanes_out(d, shape));
            d->convert_layout(lanes(d, shape, x), d.out(DType::f32, shape));
          });
          Values expected = to_lanes(shape, x);
          for (double& value : expected)
            if (std::isnan(value)) value = 0;
          EXPECT_EQ(outputs[0], expected);
          EXPECT_EQ(outputs[1], x);
        }
}

TEST_P(ConvertLayout, RefusesOtherPairs) {
  Device d(backend(), 0);
  const Shape shape{1, 1, 2, 2};
  EXPECT_EQ(error_of([&] { d->convert_layout(d.in(DType::f32, shape, Values(4, 0)), d.out(DType::f32, shape)); }),
            "[convert_layout] y [1, 1, 2, 2] must be lanes16, got row_major");
  EXPECT_EQ(error_of([&] { d->convert_layout(lanes(d, shape, Values(4, 0)), lanes_out(d, shape)); }),
            "[convert_layout] y [1, 1, 2, 2] must be row_major, got lanes16");
  EXPECT_EQ(error_of([&] { d->convert_layout(d.in(DType::f64, shape, Values(4, 0)), lanes_out(d, shape)); }),
            "[convert_layout] x must be f32 [1, 1, 2, 2], got f64 [1, 1, 2, 2]");
}

INSTANTIATE_TEST_SUITE_P(On, ConvertLayout, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
