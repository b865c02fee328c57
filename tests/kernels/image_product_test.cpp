#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

/// Products with images that are not stored as floats; only where the device has them.
class ImageProduct : public KernelTest {
 public:
  struct Case {
    std::int64_t n, out, height, width;
    bool bias = false, relu = false;
  };

  void SetUp() override {
    if (backend().most_image_outputs() > 0) return;
    // Nothing to compute: that it says so is what can be tested.
    Backend& device = backend();
    EXPECT_NE(error_of([&] { device.matmul_images({}, {}, {}, {}); }).find("[matmul_images]"), std::string::npos);
    EXPECT_NE(error_of([&] { device.matmul_images_gradient({}, {}, {}); }).find("gather_images()"), std::string::npos);
  }
  bool has_products() { return backend().most_image_outputs() > 0; }

  void check_forward(const Case& c) {
    SCOPED_TRACE(testing::Message() << "n " << c.n << " out " << c.out << " pixels " << c.height << " x " << c.width);
    make(c);
    const std::int64_t pixels = c.height * c.width;
    const std::vector<Values> outputs = run([&](Device& device) {
      Epilogue epilogue{{}, c.relu, false};
      if (c.bias) epilogue.bias = device.in(DType::f32, {c.out}, bias_);
      device->matmul_images(rows(device, c), device.in(DType::f32, {c.out, pixels}, w_),
                            device.out(DType::f32, {c.n, c.out}), epilogue);
    });
    expect_matches(outputs[0], DType::f32, [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t i = 0; i < c.n; ++i) {
        for (std::int64_t j = 0; j < c.out; ++j) {
          PlainSum<T> sum;
          for (std::int64_t k = 0; k < pixels; ++k) sum.add(pixel<T>(i, k, pixels) * static_cast<T>(w_[at(j * pixels + k)]));
          if (c.bias) sum.add(static_cast<T>(bias_[at(j)]));
          if (c.relu) sum.value = std::max(sum.value, T(0));
          sum.add_to(expected);
        }
      }
      return expected;
    });
  }

  void check_gradient(const Case& c) {
    SCOPED_TRACE(testing::Message() << "gradient, n " << c.n << " out " << c.out << " pixels " << c.height << " x "
                                    << c.width);
    make(c);
    const std::int64_t pixels = c.height * c.width;
    const Values dy = uniform("dy", c.n * c.out);
    const std::vector<Values> outputs = run([&](Device& device) {
      device->matmul_images_gradient(device.in(DType::f32, {c.n, c.out}, dy), rows(device, c),
                                     device.out(DType::f32, {c.out, pixels}));
    });
    expect_matches(outputs[0], DType::f32, [&](auto type) {
      using T = decltype(type);
      Expected expected;
      for (std::int64_t j = 0; j < c.out; ++j) {
        for (std::int64_t k = 0; k < pixels; ++k) {
          PlainSum<T> sum;
          for (std::int64_t i = 0; i < c.n; ++i) sum.add(static_cast<T>(dy[at(i * c.out + j)]) * pixel<T>(i, k, pixels));
          sum.add_to(expected);
        }
      }
      return expected;
    });
  }

 private:
  static constexpr std::int64_t kCount = 60;
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  void make(const Case& c) {
    RandomStream random(3, "image product", static_cast<std::uint64_t>(c.n));
    bytes_.clear();
    indices_.clear();
    // Mostly background, like a digit: the sums of pixels and of the shift partly cancel.
    for (std::int64_t i = 0; i < kCount * c.height * c.width; ++i)
      bytes_.push_back(random.below(4) == 0 ? random.below(256) : 0);
    for (std::int64_t i = 0; i < c.n; ++i) indices_.push_back(random.below(kCount));
    w_ = uniform("w", c.out * c.height * c.width);
    bias_ = uniform("bias", c.out);
  }
  ImageRows rows(Device& device, const Case& c) const {
    return {device.in(DType::u8, {kCount, 1, c.height, c.width}, bytes_), device.in(DType::i32, {c.n}, indices_), pixels_};
  }
  template <class T>
  T pixel(std::int64_t row, std::int64_t k, std::int64_t pixels) const {
    const double byte = bytes_[at(static_cast<std::int64_t>(indices_[at(row)]) * pixels + k)];
    return static_cast<T>(byte) * static_cast<T>(pixels_.scale[0]) + static_cast<T>(pixels_.shift[0]);
  }

  PixelScale pixels_{{static_cast<float>(1 / (255 * 0.3081))}, {static_cast<float>(-0.1307 / 0.3081)}};
  Values bytes_, indices_, w_, bias_;
};

TEST_P(ImageProduct, RaggedSizes) {
  if (!has_products()) return;
  for (const std::int64_t out : {0, 1, 2, 3, 4, 5, 8, 13, 16, 17, 33}) {
    for (const std::int64_t n : {0, 1, 7, 31, 33}) {
      check_forward({.n = n, .out = out, .height = 3, .width = 11, .bias = true, .relu = true});
      check_gradient({.n = n, .out = out, .height = 3, .width = 11});
    }
    check_forward({.n = 5, .out = out, .height = 1, .width = 1});
    check_gradient({.n = 5, .out = out, .height = 1, .width = 1});
    check_forward({.n = 5, .out = out, .height = 0, .width = 4, .bias = true});
    check_gradient({.n = 5, .out = out, .height = 16, .width = 16});
  }
}

TEST_P(ImageProduct, MnistLayers) {
  if (!has_products()) return;
  for (const std::int64_t out : {2, 4, 16}) {
    check_forward({.n = 128, .out = out, .height = 28, .width = 28, .bias = true, .relu = true});
    check_forward({.n = 512, .out = out, .height = 28, .width = 28, .bias = true});
    check_gradient({.n = 128, .out = out, .height = 28, .width = 28});
  }
}

TEST_P(ImageProduct, AnIndexOutsideTheImagesIsAnError) {
  if (!has_products()) return;
  for (const double index : {-1.0, 2.0}) {
    Device device(backend(), 0);
    const ImageRows x{device.in(DType::u8, {2, 1, 1, 3}, {1, 2, 3, 4, 5, 6}), device.in(DType::i32, {2}, {0, index}), {}};
    const In w = device.in(DType::f32, {1, 3}, {1, 1, 1}), dy = device.in(DType::f32, {2, 1}, {1, 1});
    EXPECT_NE(error_of([&] {
                device->matmul_images(x, w, device.out(DType::f32, {2, 1}), {});
              }).find("at 1 is outside the 2"),
              std::string::npos);
    EXPECT_NE(error_of([&] {
                device->matmul_images_gradient(dy, x, device.out(DType::f32, {1, 3}));
              }).find("outside the 2"),
              std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(On, ImageProduct, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
