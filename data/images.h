#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace alma {

/// The limits of the models' input.
constexpr int kMostChannels = 4;

/// Labelled images in memory. Pixels are bytes, [count, channels, height, width]; gather_images() converts a
/// batch to floats.
struct ImageSet {
  std::string name;  // for messages: "mnist train"
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;  // one per image, each in [0, classes)

  std::int64_t count() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t pixels_per_image() const { return std::int64_t{channels} * height * width; }
};

/// A training set, its test set and the normalisation of their pixels: (pixel / 255 - mean[c]) / std[c].
struct ImageData {
  ImageSet train, test;
  std::vector<float> mean, std;  // per channel
  std::string fingerprint;       // SHA-256 of the content of both sets; identifies the data
  std::string warning;           // for the user, if not empty
};

/// The fingerprint: SHA-256 of the sizes, pixels and labels of a training and a test set.
std::string fingerprint(const ImageSet& train, const ImageSet& test);

/// Mean and standard deviation (of the population) of pixel / 255.
struct ChannelStatistics {
  std::vector<float> mean, std;  // per channel
};

/// The statistics over all images of the set, from exact sums of integers, rounded once. The set must have at
/// least one pixel.
ChannelStatistics channel_statistics(const ImageSet& set);

}  // namespace alma
