#include <array>

#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

/// n integers in [0, below).
Values integers(std::string_view purpose, std::int64_t n, std::int64_t below) {
  RandomStream random(3, purpose, static_cast<std::uint64_t>(n));
  Values values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(random.below(static_cast<std::uint32_t>(below)));
  return values;
}

class Gather : public KernelTest {
 public:
  void check_images(const Shape& images, std::int64_t n, bool flat,
                    const PixelScale& pixels = {{1 / 255.0f, 0.3081f, 1, 2}, {0, -0.1307f, 3, -1e-3f}}) {
    const std::int64_t width = images[1] * images[2] * images[3];
    const Values bytes = integers("pixels", images.count(), 256), labels = integers("labels", images[0], 10);
    const Values indices = integers("indices", n, images[0]);
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << images << " n " << n << " " << name_of(dtype));
      const std::vector<Values> outputs = run([&](Device& device) {
        const In in_images = device.in(DType::u8, images, bytes), in_labels = device.in(DType::i32, {images[0]}, labels);
        const Shape shape = flat ? Shape{n, width} : Shape{n, images[1], images[2], images[3]};
        const Out x = device.out(dtype, shape), y = device.out(DType::i32, {n});
        device->gather_images(in_images, in_labels, device.in(DType::i32, {n}, indices), pixels, x, y, {});
      });
      Values x, y;
      for (double index : indices) {
        for (std::int64_t i = 0; i < width; ++i) {
          const auto c = static_cast<std::size_t>(i / (images[2] * images[3]));
          const double pixel = bytes[static_cast<std::size_t>(static_cast<std::int64_t>(index) * width + i)];
          x.push_back(dtype == DType::f32 ? std::fma(static_cast<float>(pixel), pixels.scale[c], pixels.shift[c])
                                          : std::fma(pixel, double{pixels.scale[c]}, double{pixels.shift[c]}));
        }
        y.push_back(labels[static_cast<std::size_t>(index)]);
      }
      expect_equal(outputs[0], x);  // exact: one rounding
      expect_equal(outputs[1], y);
    }
  }
};

TEST_P(Gather, ImagesAtRaggedSizes) {
  for (const std::int64_t n : {0, 1, 2, 31, 33}) {
    check_images({50, 1, 28, 28}, n, true);
    check_images({7, 3, 5, 7}, n, false);
    check_images({5, 4, 1, 1}, n, true);
    check_images({5, 2, 0, 3}, n, false);
  }
  check_images({1000, 1, 28, 28}, 300, true);
}

TEST_P(Gather, EveryPixelValue) { check_images({3, 1, 16, 67}, 40, true); }

// 130 * scale is 2^-24 + 2^-54. In f64 that plus 1 is 1 + 2^-24, which in f32 is 1, where rounding once gives 1 + 2^-23.
TEST_P(Gather, IsRoundedOnceWhereF64IsNotExact) {
  check_images({3, 3, 16, 67}, 40, false,
               {{std::ldexp(16519105.0f, -55), 1e-30f, 1e30f}, {1, std::numeric_limits<float>::infinity(), -1e-30f}});
}

TEST_P(Gather, ImageIndicesOutOfRangeGiveNan) {
  for (DType dtype : float_types()) {
    const std::vector<Values> outputs = run([&](Device& device) {
      const In images = device.in(DType::u8, {2, 1, 1, 3}, {1, 2, 3, 4, 5, 6}), labels = device.in(DType::i32, {2}, {8, 9});
      const Out x = device.out(dtype, {4, 3}), y = device.out(DType::i32, {4});
      device->gather_images(images, labels, device.in(DType::i32, {4}, {1, -1, 2, 0}), {}, x, y, {});
    });
    expect_equal(outputs[1], {9, -1, -1, 8});
    expect_equal({outputs[0].begin(), outputs[0].begin() + 3}, {4, 5, 6});
    for (std::size_t i = 3; i < 9; ++i) EXPECT_TRUE(std::isnan(outputs[0][i])) << i;
    expect_equal({outputs[0].begin() + 9, outputs[0].end()}, {1, 2, 3});
  }
}

/// Every output pixel must be that of one shift and mirroring of the whole image, which is looked for among all of them.
TEST_P(Gather, AugmentedImagesAreCutsOfPaddedOnes) {
  struct Case {
    Shape images;
    int pad;
    bool flip;
  };
  for (const Case& c : {Case{{4, 3, 32, 32}, 4, true}, Case{{3, 1, 5, 7}, 2, true}, Case{{3, 2, 3, 4}, 7, false},
                        Case{{3, 4, 6, 5}, 0, true}, Case{{2, 1, 1, 1}, 1, true}}) {
    const std::int64_t n = 33, h = c.images[2], w = c.images[3], channels = c.images[1];
    const Values bytes = integers("pixels", c.images.count(), 256), indices = integers("indices", n, c.images[0]);
    const PixelScale pixels{{0.5f, 0.25f, 1, 2}, {-1, 3, 7, 0}};
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << c.images << " pad " << c.pad << " " << name_of(dtype));
      const std::vector<Values> outputs = run([&](Device& device) {
        const In images = device.in(DType::u8, c.images, bytes),
                 labels = device.in(DType::i32, {c.images[0]}, Values(static_cast<std::size_t>(c.images[0])));
        const In in_indices = device.in(DType::i32, {n}, indices);
        const ImageAugmentation augmentation{
            c.pad, {-1.9f, 100, -3, 5}, c.flip, {0x123456789abcdefull, device.step_state({17, 0})}};
        const Out x = device.out(dtype, {n, channels, h, w}), y = device.out(DType::i32, {n});
        device->gather_images(images, labels, in_indices, pixels, x, y, augmentation);
      });
      const auto matches = [&](std::int64_t i, std::int64_t dr, std::int64_t dc, bool mirrored) {
        for (std::int64_t k = 0; k < channels * h * w; ++k) {
          const std::int64_t channel = k / (h * w), r = k / w % h + dr, c0 = k % w,
                             column = (mirrored ? w - 1 - c0 : c0) + dc;
          const auto ch = static_cast<std::size_t>(channel);
          double expected = std::array{-1.9f, 100.0f, -3.0f, 5.0f}[ch];
          if (r >= 0 && r < h && column >= 0 && column < w) {
            const auto image = static_cast<std::int64_t>(indices[static_cast<std::size_t>(i)]);
            expected =
                bytes[static_cast<std::size_t>(((image * channels + channel) * h + r) * w + column)] * pixels.scale[ch] +
                pixels.shift[ch];
          }
          if (outputs[0][static_cast<std::size_t>(i * channels * h * w + k)] != expected) return false;
        }
        return true;
      };
      for (std::int64_t i = 0; i < n; ++i) {
        int found = 0;
        for (int dr = -c.pad; dr <= c.pad; ++dr)
          for (int dc = -c.pad; dc <= c.pad; ++dc)
            for (int mirrored = 0; mirrored <= (c.flip ? 1 : 0); ++mirrored) found += matches(i, dr, dc, mirrored == 1);
        ASSERT_GE(found, 1) << "image " << i;
      }
    }
  }
}

/// The cuts themselves, from an image that tells where each pixel comes from: against Philox written out here.
TEST_P(Gather, CutsAreThoseOfPhilox) {
  const int pad = 4;
  const std::int64_t n = 500, size = 16;
  Values bytes;
  for (std::int64_t i = 0; i < size * size; ++i) bytes.push_back(static_cast<double>(i));
  const std::uint64_t key = 0xfedcba9876543210ull;
  using Place = std::pair<std::int64_t, std::int64_t>;  // step, number of the first image
  for (const auto& [step, first] : {Place{0, 0}, Place{5, 3}, Place{std::int64_t{1} << 40, (std::int64_t{1} << 33) + 1}}) {
    const std::vector<Values> outputs = run([&, place = Place{step, first}](Device& device) {
      const In images = device.in(DType::u8, {1, 1, size, size}, bytes), labels = device.in(DType::i32, {1}, {3});
      const In indices = device.in(DType::i32, {n}, Values(static_cast<std::size_t>(n), 0));
      const Out x = device.out(DType::f32, {n, size * size}), y = device.out(DType::i32, {n});
      device->gather_images(images, labels, indices, {}, x, y,
                            {pad, {-1.9f}, true, {key, device.step_state({place.first, 0}), place.second}});
    });
    int mirrored = 0, top = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto low = [](std::int64_t v) { return static_cast<std::uint32_t>(v); };
      const auto bits = Philox{{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}}(
          {low(first + i), low((first + i) >> 32), low(step), low(step >> 32)});
      const auto offset = [&](std::uint32_t word) { return static_cast<std::int64_t>(std::uint64_t{word} * 9 >> 32) - pad; };
      const bool flip = bits[2] >= 0x80000000u;
      mirrored += flip;
      top += offset(bits[0]) == -pad;
      for (const std::int64_t k : {std::int64_t{0}, 7 * size + 8, size * size - 1}) {
        const std::int64_t r = k / size + offset(bits[0]), c = (flip ? size - 1 - k % size : k % size) + offset(bits[1]);
        const bool inside = r >= 0 && r < size && c >= 0 && c < size;
        ASSERT_EQ(outputs[0][static_cast<std::size_t>(i * size * size + k)],
                  inside ? static_cast<double>(r * size + c) : static_cast<double>(-1.9f))
            << "image " << i << " pixel " << k;
      }
    }
    EXPECT_NEAR(mirrored, n / 2, 60);  // 5 standard deviations
    EXPECT_NEAR(top, n / 9, 36);
  }
}

/// A part of a batch is cut as in the whole one.
TEST_P(Gather, CutsOfPartsAreThoseOfTheWhole) {
  const std::int64_t n = 37, c = 2, h = 5, w = 6, image = c * h * w;
  const Values bytes = integers("pixels", 4 * image, 256), numbers = integers("indices", n, 4);
  const auto gathered = [&](std::int64_t first, std::int64_t last) {
    return run([&](Device& device) {
      const In images = device.in(DType::u8, {4, c, h, w}, bytes), labels = device.in(DType::i32, {4}, {5, 6, 7, 8});
      const In indices = device.in(DType::i32, {last - first}, {numbers.begin() + first, numbers.begin() + last});
      const ImageAugmentation cut{2, {-1, 3}, true, {99, device.step_state({3, 0}), first}};
      const Out x = device.out(DType::f32, {last - first, c, h, w}), y = device.out(DType::i32, {last - first});
      device->gather_images(images, labels, indices, {}, x, y, cut);
    })[0];
  };
  const Values whole = gathered(0, n);
  for (const auto& [first, last] : {std::pair{0, 1}, std::pair{1, 4}, std::pair{4, 20}, std::pair{20, 37}})
    expect_equal(gathered(first, last), {whole.begin() + first * image, whole.begin() + last * image});
}

TEST_P(Gather, ABatchHasNoNumberBelowZero) {
  expect_error("gather_images", "-1", [&](Device& d) {
    const In images = d.in(DType::u8, {1, 1, 1, 1}, {1}), number = d.in(DType::i32, {1}, {0});
    const ImageAugmentation cut{1, {}, false, {1, d.step_state({}), -1}};
    d->gather_images(images, number, number, {}, d.out(DType::f32, {1, 1}), d.out(DType::i32, {1}), cut);
  });
}

TEST_P(Gather, AugmentedIndicesOutOfRangeGiveNan) {
  for (DType dtype : float_types()) {
    const std::vector<Values> outputs = run([&](Device& device) {
      const In images = device.in(DType::u8, {1, 1, 2, 2}, {1, 2, 3, 4}), labels = device.in(DType::i32, {1}, {8});
      const Out x = device.out(dtype, {2, 4}), y = device.out(DType::i32, {2});
      device->gather_images(images, labels, device.in(DType::i32, {2}, {1, -1}), {}, x, y,
                            {1, {}, false, 1, device.step_state({})});
    });
    expect_equal(outputs[1], {-1, -1});
    for (double value : outputs[0]) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_P(Gather, RowsAtRaggedSizes) {
  std::vector<DType> types = float_types();
  types.push_back(DType::i32);
  for (DType dtype : types) {
    for (const std::int64_t m : ragged_sizes) {
      for (const std::int64_t n : {0, 1, 3, 33, 784}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " " << name_of(dtype));
        const Values table = dtype == DType::i32 ? integers("table", 19 * n, 1000) : uniform("table", 19 * n, dtype);
        const Values indices = integers("indices", m, 19);
        const std::vector<Values> outputs = run([&](Device& device) {
          device->gather_rows(device.in(dtype, {19, n}, table), device.in(DType::i32, {m}, indices),
                              device.out(dtype, {m, n}));
        });
        Values expected;
        for (double index : indices)
          for (std::int64_t j = 0; j < n; ++j)
            expected.push_back(table[static_cast<std::size_t>(static_cast<std::int64_t>(index) * n + j)]);
        expect_equal(outputs[0], expected);
      }
    }
  }
}

TEST_P(Gather, RowIndicesOutOfRange) {
  const std::vector<Values> outputs = run([&](Device& device) {
    const In indices = device.in(DType::i32, {3}, {-1, 1, 2});
    device->gather_rows(device.in(DType::f32, {2, 2}, {1, 2, 3, 4}), indices, device.out(DType::f32, {3, 2}));
    device->gather_rows(device.in(DType::i32, {2, 2}, {1, 2, 3, 4}), indices, device.out(DType::i32, {3, 2}));
  });
  for (std::size_t i : {0, 1, 4, 5}) EXPECT_TRUE(std::isnan(outputs[0][i])) << i;
  expect_equal({outputs[0].begin() + 2, outputs[0].begin() + 4}, {3, 4});
  expect_equal(outputs[1], {-1, -1, 3, 4, -1, -1});
}

/// Repeated rows are added in the order of the indices: to the bit what a plain loop of the same type gives.
TEST_P(Gather, ScatterAddsInOrder) {
  for (DType dtype : float_types()) {
    for (const std::int64_t m : {0, 1, 33, 257, 2003}) {
      for (const std::int64_t n : {0, 1, 3, 65, 200}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " " << name_of(dtype));
        const Values dy = uniform("dy", m * n, dtype), before = uniform("table", 5 * n, dtype);
        Values indices = integers("indices", m, 5);
        if (m > 30) indices[30] = -1;
        if (m > 31) indices[31] = 5;
        const std::vector<Values> outputs = run([&](Device& device) {
          const In in_dy = device.in(dtype, {m, n}, dy), in_indices = device.in(DType::i32, {m}, indices);
          device->scatter_add_rows(in_dy, in_indices, device.in_out(dtype, {5, n}, before));
        });
        Values expected = before;
        for (std::int64_t i = 0; i < m; ++i) {
          const auto index = static_cast<std::int64_t>(indices[static_cast<std::size_t>(i)]);
          for (std::int64_t j = 0; index >= 0 && index < 5 && j < n; ++j) {
            double& sum = expected[static_cast<std::size_t>(index * n + j)];
            sum = rounded(sum + dy[static_cast<std::size_t>(i * n + j)], dtype);
          }
        }
        expect_equal(outputs[0], expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, Gather, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
