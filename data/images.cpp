#include "data/images.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "base/checksum.h"
#include "base/error.h"

namespace alma {

ChannelStatistics channel_statistics(const ImageSet& set) {
  if (set.pixels.empty()) fail("[channel_statistics] ", set.name, " holds no pixels");
  const auto channels = static_cast<std::size_t>(set.channels);
  const auto plane = static_cast<std::size_t>(set.height) * static_cast<std::size_t>(set.width);
  ChannelStatistics statistics;
  for (std::size_t c = 0; c < channels; ++c) {
    std::array<std::int64_t, 256> histogram{};
    for (std::size_t start = c * plane; start < set.pixels.size(); start += channels * plane)
      for (std::size_t i = start; i < start + plane; ++i) ++histogram[set.pixels[i]];

    std::int64_t count = 0, sum = 0, squares = 0;
    for (std::int64_t value = 0; value < 256; ++value) {
      const std::int64_t times = histogram[static_cast<std::size_t>(value)];
      count += times;
      sum += times * value;
      squares += times * value * value;
    }
    const double mean = static_cast<double>(sum) / static_cast<double>(count);
    const double variance = static_cast<double>(squares) / static_cast<double>(count) - mean * mean;
    statistics.mean.push_back(static_cast<float>(mean / 255));
    statistics.std.push_back(static_cast<float>(std::sqrt(std::max(variance, 0.0)) / 255));
  }
  return statistics;
}

std::string fingerprint(const ImageSet& train, const ImageSet& test) {
  Sha256 sum;
  for (const ImageSet* set : {&train, &test}) {
    std::ostringstream sizes;
    sizes << set->count() << ' ' << set->channels << ' ' << set->height << ' ' << set->width << ' ' << set->classes << '\n';
    sum.add(sizes.str());
    sum.add(set->pixels);
    std::string labels;
    for (const std::int32_t label : set->labels) labels += std::to_string(label) + ' ';
    sum.add(labels);
  }
  return sum.hex();
}

}  // namespace alma
