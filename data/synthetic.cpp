#include "data/synthetic.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/random.h"

namespace alma {
namespace {

constexpr int kPrototypesPerClass = 2;
constexpr int kWaves = 6;
constexpr double kMostCycles = 1.5;  // across an image: few, so that neighbouring pixels are similar

/// A smooth picture in [0, 1], larger than an image by a margin: [channels, height + 2 margin_y, width + 2 margin_x].
using Prototype = std::vector<float>;

class Painter {
 public:
  explicit Painter(const SyntheticImages& request)
      : request_(request), margin_y_(request.height / 10), margin_x_(request.width / 10) {
    for (int i = 0; i < request.classes * kPrototypesPerClass; ++i)
      prototypes_.push_back(
          make_prototype(RandomStream(request.seed, "synthetic prototype", static_cast<std::uint64_t>(i))));
  }

  ImageSet paint(const std::string& split, std::int64_t count) const {
    ImageSet set{"synthetic-images " + split, request_.channels, request_.height, request_.width, request_.classes, {}, {}};
    set.pixels.reserve(static_cast<std::size_t>(count * set.pixels_per_image()));
    for (std::int64_t i = 0; i < count; ++i) {
      set.labels.push_back(static_cast<std::int32_t>(i % request_.classes));
      paint_image(set.labels.back(), RandomStream(request_.seed, "synthetic " + split, static_cast<std::uint64_t>(i)),
                  set.pixels);
    }
    return set;
  }

 private:
  int padded_height() const { return request_.height + 2 * margin_y_; }
  int padded_width() const { return request_.width + 2 * margin_x_; }

  Prototype make_prototype(RandomStream random) const {
    Prototype prototype;
    for (int c = 0; c < request_.channels; ++c) {
      std::vector<float> plane(static_cast<std::size_t>(padded_height()) * static_cast<std::size_t>(padded_width()));
      for (int wave = 0; wave < kWaves; ++wave) {
        const double down = random.uniform(-kMostCycles, kMostCycles) / request_.height;
        const double right = random.uniform(-kMostCycles, kMostCycles) / request_.width;
        const double phase = random.uniform();
        auto pixel = plane.begin();
        for (int y = 0; y < padded_height(); ++y)
          for (int x = 0; x < padded_width(); ++x)
            *pixel++ += static_cast<float>(std::cos(2 * std::numbers::pi * (down * y + right * x + phase)));
      }
      const auto [lowest, highest] = std::minmax_element(plane.begin(), plane.end());
      const float low = *lowest, range = std::max(*highest - low, 1e-6f);
      for (const float value : plane) prototype.push_back((value - low) / range);
    }
    return prototype;
  }

  void paint_image(int label, RandomStream random, std::vector<std::uint8_t>& pixels) const {
    const auto count = static_cast<std::uint32_t>(prototypes_.size());
    const std::uint32_t own = static_cast<std::uint32_t>(label) * kPrototypesPerClass + random.below(kPrototypesPerClass);
    const std::uint32_t other = (own + 1 + random.below(count - 1)) % count;
    const auto weight = static_cast<float>(random.uniform(0.5, 1.0));
    const int down = static_cast<int>(random.below(static_cast<std::uint32_t>(2 * margin_y_ + 1)));
    const int right = static_cast<int>(random.below(static_cast<std::uint32_t>(2 * margin_x_ + 1)));
    for (int c = 0; c < request_.channels; ++c) {
      for (int y = 0; y < request_.height; ++y) {
        const auto row =
            (static_cast<std::size_t>(c) * static_cast<std::size_t>(padded_height()) + static_cast<std::size_t>(y + down)) *
                static_cast<std::size_t>(padded_width()) +
            static_cast<std::size_t>(right);
        const float* first = prototypes_[own].data() + row;
        const float* second = prototypes_[other].data() + row;
        for (int x = 0; x < request_.width; ++x) {
          const float clean = weight * first[x] + (1 - weight) * second[x];
          const float noisy = clean + static_cast<float>(request_.noise) * unit_noise(random);
          pixels.push_back(static_cast<std::uint8_t>(std::clamp(noisy, 0.0f, 1.0f) * 255 + 0.5f));
        }
      }
    }
  }

  /// Mean 0, variance 1, nearly normal: the sum of four uniform bytes, many times cheaper than a logarithm and a cosine.
  static float unit_noise(RandomStream& random) {
    const std::uint32_t bits = random.bits();
    const auto sum = static_cast<float>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    constexpr float mean = 4 * 127.5f, deviation = 147.80054f;  // sqrt(4 * (256^2 - 1) / 12)
    return (sum - mean) / deviation;
  }

  SyntheticImages request_;
  int margin_y_, margin_x_;
  std::vector<Prototype> prototypes_;
};

void check(const SyntheticImages& request) {
  const auto require = [](bool right, const char* key, auto found, const char* expected) {
    if (!right) fail(ErrorKind::usage, "synthetic-images: ", key, " = ", found, ": expected ", expected);
  };
  constexpr std::int64_t most = 1 << 24;
  require(request.train >= 1 && request.train <= most, "train", request.train, "1 .. 2^24 images");
  require(request.test >= 1 && request.test <= most, "test", request.test, "1 .. 2^24 images");
  require(request.channels >= 1 && request.channels <= 4, "channels", request.channels, "1 .. 4");
  require(request.height >= 1 && request.height <= 1024, "height", request.height, "1 .. 1024");
  require(request.width >= 1 && request.width <= 1024, "width", request.width, "1 .. 1024");
  require(request.classes >= 1 && request.classes <= 256, "classes", request.classes, "1 .. 256");
  require(request.noise >= 0 && request.noise <= 10, "noise", request.noise, "0 .. 10");
}

}  // namespace

ImageData make_synthetic_images(const SyntheticImages& request) {
  check(request);
  const Painter painter(request);
  ImageData data;
  data.train = painter.paint("train", request.train);
  data.test = painter.paint("test", request.test);
  const ChannelStatistics statistics = channel_statistics(data.train);
  data.mean = statistics.mean;
  data.std = statistics.std;
  return data;
}

}  // namespace alma
