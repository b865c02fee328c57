// Pooling and gathering in lanes16: the same bits as in row_major, whose tests look after what they are.
#include "tests/kernels/lanes_test.h"

namespace alma::test {
namespace {

class LanesLayers : public LanesTest {
 protected:
  std::vector<Values> in_row_major(const std::function<void(Device&)>& body) {
    Device device(backend(), 0);
    body(device);
    return device.output_values();
  }

  /// Equal, NaN with NaN too.
  static void expect_same(Values actual, Values expected) {
    for (Values* values : {&actual, &expected})
      for (double& value : *values)
        if (std::isnan(value)) value = 1e300;
    expect_equal(actual, expected);
  }

  void check_max(const Shape& shape, const PoolWindow& window) {
    SCOPED_TRACE(testing::Message() << shape << ", window " << window.height << " x " << window.width << " / "
                                    << window.stride);
    const Shape pooled{shape[0], shape[1], (shape[2] - window.height) / window.stride + 1,
                       (shape[3] - window.width) / window.stride + 1};
    Values x = uniform("x", shape.count());
    for (double& value : x) value = std::round(value * 8);  // with ties
    if (x.size() > 3) x[x.size() / 2] = x[x.size() / 2 + 1] = std::numeric_limits<double>::quiet_NaN();
    const Values dy = uniform("dy", pooled.count());
    const auto body = [&](Device& d, Layout layout) {
      const Out y = images_out(d, layout, DType::f32, pooled), place = images_out(d, layout, DType::u8, pooled),
                again = images_out(d, layout, DType::f32, pooled), dx = images_out(d, layout, DType::f32, shape);
      const In in = images(d, layout, DType::f32, shape, x);
      d->max_pool(in, window, y, place);
      d->max_pool(in, window, again, {});
      d->max_pool_backward(images(d, layout, DType::f32, pooled, dy), place, window, dx);
    };
    const std::vector<Values> expected = in_row_major([&](Device& d) { body(d, Layout::row_major); });
    const std::vector<Values> actual = run([&](Device& d) { body(d, Layout::lanes16); });
    expect_same(from_lanes(pooled, actual[0]), expected[0]);
    expect_same(from_lanes(pooled, actual[1], false), expected[1]);
    expect_same(from_lanes(pooled, actual[2]), expected[2]);
    expect_same(from_lanes(shape, actual[3]), expected[3]);
  }

  void check_average(const Shape& shape, std::int64_t oh, std::int64_t ow) {
    SCOPED_TRACE(testing::Message() << shape << " to " << oh << " x " << ow);
    const Shape pooled{shape[0], shape[1], oh, ow};
    const Values x = uniform("x", shape.count()), dy = uniform("dy", pooled.count());
    const auto body = [&](Device& d, Layout layout) {
      const Out y = d.out(DType::f32, pooled), dx = images_out(d, layout, DType::f32, shape);
      d->adaptive_average_pool(images(d, layout, DType::f32, shape, x), y);
      d->adaptive_average_pool_backward(d.in(DType::f32, pooled, dy), dx);
    };
    const std::vector<Values> expected = in_row_major([&](Device& d) { body(d, Layout::row_major); });
    const std::vector<Values> actual = run([&](Device& d) { body(d, Layout::lanes16); });
    expect_same(actual[0], expected[0]);
    expect_same(from_lanes(shape, actual[1]), expected[1]);
  }
};

TEST_P(LanesLayers, MaxPool) {
  for (const std::int64_t n : ragged_batches) check_max({n, 3, 6, 4}, {2, 2, 2});
  for (const PoolWindow& window : {PoolWindow{1, 1, 1}, PoolWindow{3, 3, 2}, PoolWindow{3, 3, 1}, PoolWindow{2, 3, 1},
                                   PoolWindow{2, 2, 3}, PoolWindow{2, 2, 2}, PoolWindow{7, 7, 100}})
    for (const Shape& shape : {Shape{17, 2, 7, 7}, Shape{2, 1, 8, 16}, Shape{33, 1, 32, 33}}) check_max(shape, window);
  check_max({3, 2, 16, 16}, {16, 16, 1});
  check_max({16, 5, 2, 2}, {2, 2, 2});
  check_max({0, 5, 2, 2}, {2, 2, 2});
}

TEST_P(LanesLayers, AdaptiveAveragePool) {
  for (const std::int64_t n : ragged_batches) check_average({n, 3, 4, 4}, 1, 1);
  for (const Shape& shape : {Shape{17, 3, 1, 1}, Shape{2, 2, 7, 5}, Shape{18, 1, 33, 32}, Shape{0, 2, 3, 3}})
    for (const std::int64_t oh : {1, 2, 7})
      for (const std::int64_t ow : {1, 3, 9}) check_average(shape, oh, ow);
}

TEST_P(LanesLayers, GatherImages) {
  for (const Shape& images : {Shape{9, 3, 32, 32}, Shape{4, 1, 5, 7}, Shape{3, 4, 1, 1}, Shape{5, 2, 6, 33}})
    for (const std::int64_t n : {0, 1, 15, 16, 17, 33})
      for (const int pad : {0, 4})
        for (const bool flip : {false, true}) {
          SCOPED_TRACE(testing::Message() << images << " n " << n << " pad " << pad << " flip " << flip);
          RandomStream random(3, "images", static_cast<std::uint64_t>(n));
          Values pixels(at(images.count())), labels(at(images[0])), indices(at(n));
          for (double& pixel : pixels) pixel = random.below(256);
          for (double& label : labels) label = random.below(10);
          for (double& index : indices) index = random.below(static_cast<std::uint32_t>(images[0]));
          if (n > 2) indices[1] = -1;
          if (n > 2) indices[2] = static_cast<double>(images[0]);
          const PixelScale scale{{0.5f, 0.3081f, 1, 2}, {-1, 3, 7, -1e-3f}};
          const Shape batch{n, images[1], images[2], images[3]};
          const auto body = [&](Device& d, Layout layout) {
            const In in = d.in(DType::u8, images, pixels), in_labels = d.in(DType::i32, {images[0]}, labels);
            const Out x = images_out(d, layout, DType::f32, batch), y = d.out(DType::i32, {n});
            d->gather_images(in, in_labels, d.in(DType::i32, {n}, indices), scale, x, y,
                             {pad, {-1.9f, 100, -3, 5}, flip, {0x123456789abcdefull, d.step_state({17, 0}), 5}});
          };
          const std::vector<Values> expected = in_row_major([&](Device& d) { body(d, Layout::row_major); });
          const std::vector<Values> actual = run([&](Device& d) { body(d, Layout::lanes16); });
          expect_same(from_lanes(batch, actual[0]), expected[0]);
          expect_same(actual[1], expected[1]);
          for (std::int64_t i = n; i < (n + 15) / 16 * 16; ++i)
            EXPECT_EQ(actual[0][place(batch, i, 0, 0, 0)], 0) << "spare lanes are 0";
        }
}

INSTANTIATE_TEST_SUITE_P(On, LanesLayers, testing::ValuesIn(cpu_devices()), device_test_name);

/// What has no meaning in lanes16, or is not there, is refused by name on every device.
class LanesErrors : public LanesTest {
 protected:
  static constexpr DType f32 = DType::f32;
  const Shape shape{2, 3, 4, 4};
  const Values zeros = Values(96, 0);
};

TEST_P(LanesErrors, OtherPrimitivesTakeRowMajor) {
  const char* found = "must be row_major, got lanes16";
  expect_error("unary", found, [&](Device& d) { d->unary(UnaryOp::relu, lanes(d, shape, zeros), lanes_out(d, shape)); });
  expect_error("unary", found, [&](Device& d) { d->unary(UnaryOp::relu, d.in(f32, shape, zeros), lanes_out(d, shape)); });
  expect_error("affine", found, [&](Device& d) { d->affine(lanes(d, shape, zeros), 1, 0, lanes_out(d, shape)); });
  expect_error("binary", found, [&](Device& d) {
    d->binary(BinaryOp::add, lanes(d, shape, zeros), d.in(f32, shape, zeros), d.out(f32, shape));
  });
  expect_error("reduce_sum", found, [&](Device& d) { d->reduce_sum(lanes(d, shape, zeros), d.out(f32, {1, 1, 1, 1})); });
  expect_error("softmax", found, [&](Device& d) { d->softmax(lanes(d, shape, zeros), d.out(f32, shape)); });
  expect_error("fill", "lanes16", [&](Device& d) { d->fill(lanes_out(d, shape), 0); });
  expect_error("cast", found, [&](Device& d) { d->cast(lanes(d, shape, zeros), d.out(DType::bf16, shape)); });
  expect_error("dropout", found, [&](Device& d) {
    d->dropout(lanes(d, shape, zeros), 0.5, {0, d.step_state({})}, d.out(f32, shape));
  });
  expect_error("causal_softmax", found, [&](Device& d) { d->causal_softmax(lanes(d, shape, zeros), 1, d.out(f32, shape)); });
  expect_error("gradient_norm", found, [&](Device& d) {
    const In gradient = lanes(d, shape, zeros);
    d->gradient_norm({&gradient, 1}, d.out(f32, {}));
  });
  expect_error("optimize", found, [&](Device& d) {
    const OptimizerSlot slot{lanes_out(d, shape), d.in(f32, shape, zeros), {}, {}};
    d->optimize({&slot, 1}, SgdRule{}, d.step_state({}));
  });
}

TEST_P(LanesErrors, MixedLayouts) {
  expect_error("max_pool", "lanes16", [&](Device& d) {
    d->max_pool(lanes(d, shape, zeros), {2, 2, 2}, d.out(f32, {2, 3, 2, 2}), {});
  });
  expect_error("max_pool", "must be row_major, got lanes16", [&](Device& d) {
    d->max_pool(d.in(f32, shape, zeros), {2, 2, 2}, lanes_out(d, {2, 3, 2, 2}), {});
  });
  expect_error("adaptive_average_pool", "y [2, 3, 2, 2] must be row_major, got lanes16", [&](Device& d) {
    d->adaptive_average_pool(lanes(d, shape, zeros), lanes_out(d, {2, 3, 2, 2}));
  });
  expect_error("batch_norm_inference", "lanes16", [&](Device& d) {
    const In c = d.in(f32, {3}, {1, 1, 1});
    d->batch_norm_inference(lanes(d, shape, zeros), c, c, c, c, 1, false, d.out(f32, shape));
  });
}

TEST_P(LanesErrors, OtherTypesAndDevices) {
  const auto norm = [&](Device& d, DType type) {
    const In c = d.in(type, {3}, {1, 1, 1});
    d->batch_norm_inference(lanes(d, shape, zeros, type), c, c, c, c, 1, false, lanes_out(d, shape, type));
  };
  expect_error("batch_norm_inference", "images in lanes16 are f32, got x f64", [&](Device& d) { norm(d, DType::f64); });
  EXPECT_EQ(backend().image_layout(), is_cpu() ? Layout::lanes16 : Layout::row_major);
  if (is_cpu()) return;
  expect_error("batch_norm_inference", "cuda computes in row_major, got lanes16", [&](Device& d) { norm(d, f32); });
  expect_error("max_pool", "cuda computes in row_major, got lanes16", [&](Device& d) {
    d->max_pool(lanes(d, shape, zeros), {2, 2, 2}, lanes_out(d, {2, 3, 2, 2}), {});
  });
  expect_error("gather_images", "cuda computes in row_major, got lanes16", [&](Device& d) {
    const In images = d.in(DType::u8, shape, zeros), labels = d.in(DType::i32, {2}, {0, 0});
    d->gather_images(images, labels, labels, {}, lanes_out(d, shape), d.out(DType::i32, {2}), {});
  });
  expect_error("convert_layout", "has row_major images alone",
               [&](Device& d) { d->convert_layout(d.in(f32, shape, zeros), lanes_out(d, shape)); });
}

INSTANTIATE_TEST_SUITE_P(On, LanesErrors, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
