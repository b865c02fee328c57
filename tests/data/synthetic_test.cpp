#include "data/synthetic.h"

#include "tests/data/files.h"

namespace alma::test {
namespace {

/// Fraction of test images whose nearest class mean (of the training images, in f64) is that of their class.
double nearest_mean_accuracy(const ImageData& data) {
  const auto size = static_cast<std::size_t>(data.train.pixels_per_image());
  const auto classes = static_cast<std::size_t>(data.train.classes);
  std::vector<double> means(classes * size), counts(classes);
  for (std::size_t i = 0; i < data.train.labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(data.train.labels[i]);
    ++counts[label];
    for (std::size_t p = 0; p < size; ++p) means[label * size + p] += data.train.pixels[i * size + p];
  }
  for (std::size_t k = 0; k < classes; ++k)
    for (std::size_t p = 0; p < size; ++p) means[k * size + p] /= counts[k];
  int hits = 0;
  for (std::size_t i = 0; i < data.test.labels.size(); ++i) {
    std::size_t best = 0;
    double best_distance = 1e300;
    for (std::size_t k = 0; k < classes; ++k) {
      double distance = 0;
      for (std::size_t p = 0; p < size; ++p) {
        const double d = data.test.pixels[i * size + p] - means[k * size + p];
        distance += d * d;
      }
      if (distance < best_distance) {
        best_distance = distance;
        best = k;
      }
    }
    hits += best == static_cast<std::size_t>(data.test.labels[i]);
  }
  return hits / static_cast<double>(data.test.count());
}

TEST(Synthetic, DefaultSizes) {
  const ImageData data = make_synthetic_images({});
  EXPECT_EQ(data.train.count(), 6000);
  EXPECT_EQ(data.test.count(), 1000);
  EXPECT_EQ(data.train.pixels.size(), 6000u * 784);
  EXPECT_EQ(data.train.classes, 10);
  std::vector<int> counts(10);
  for (const std::int32_t label : data.train.labels) ++counts.at(static_cast<std::size_t>(label));
  EXPECT_EQ(counts, std::vector<int>(10, 600));
  EXPECT_GT(data.std.at(0), 0.1f);
}

TEST(Synthetic, LearnableButNotTrivial) {
  for (const std::uint64_t seed : {0u, 1u, 2u}) {
    SyntheticImages request;
    request.seed = seed;
    const double accuracy = nearest_mean_accuracy(make_synthetic_images(request));
    EXPECT_GT(accuracy, 0.5) << seed;  // chance is 0.1
    EXPECT_LT(accuracy, 0.95) << seed;
  }
}

TEST(Synthetic, SameRequestSameBytesAndLongerSetsBeginAlike) {
  SyntheticImages request;
  request.train = 100;
  request.test = 40;
  const ImageData one = make_synthetic_images(request), two = make_synthetic_images(request);
  EXPECT_EQ(one.train.pixels, two.train.pixels);
  EXPECT_EQ(one.test.pixels, two.test.pixels);
  request.train = 130;
  const ImageData longer = make_synthetic_images(request);
  EXPECT_EQ(first_bytes(longer.train.pixels, one.train.pixels.size()), one.train.pixels);
  EXPECT_EQ(longer.test.pixels, one.test.pixels);
  request.seed = 1;
  EXPECT_NE(make_synthetic_images(request).train.pixels, longer.train.pixels);
  EXPECT_NE(first_bytes(one.train.pixels, one.test.pixels.size()), one.test.pixels);  // the test set is not the training set
}

TEST(Synthetic, AnyShape) {
  for (const auto& [channels, height, width, classes] :
       {std::array{1, 1, 1, 1}, std::array{3, 32, 32, 10}, std::array{4, 31, 33, 7}, std::array{2, 257, 1, 256}}) {
    SyntheticImages request;
    request.train = 17;
    request.test = 3;
    request.channels = channels;
    request.height = height;
    request.width = width;
    request.classes = classes;
    const ImageData data = make_synthetic_images(request);
    EXPECT_EQ(data.train.pixels.size(), static_cast<std::size_t>(17 * channels * height * width));
    EXPECT_EQ(data.mean.size(), static_cast<std::size_t>(channels));
    for (const std::int32_t label : data.train.labels) EXPECT_LT(label, classes);
  }
}

TEST(Synthetic, WrongRequests) {
  const auto expect_refused = [](const char* key, auto member, auto value) {
    SyntheticImages request;
    request.*member = value;
    expect_error(ErrorKind::usage, {"synthetic-images", key}, [&] { make_synthetic_images(request); });
  };
  expect_refused("train", &SyntheticImages::train, 0);
  expect_refused("test", &SyntheticImages::test, -1);
  expect_refused("channels", &SyntheticImages::channels, 5);
  expect_refused("height", &SyntheticImages::height, 0);
  expect_refused("width", &SyntheticImages::width, 1025);
  expect_refused("classes", &SyntheticImages::classes, 257);
  expect_refused("noise", &SyntheticImages::noise, -0.5);
}

}  // namespace
}  // namespace alma::test
