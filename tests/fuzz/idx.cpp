// IDX files: images, and their labels.
#include "data/idx.h"

#include "tests/data/files.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

using test::Bytes;

void read_again(const ImageSet& set, std::uint32_t images) {
  const auto size = [](int value) { return static_cast<std::uint32_t>(value); };
  const Bytes file = test::idx_file({images, size(set.channels), size(set.height), size(set.width)}, set.pixels);
  const ImageSet again = read_idx_images(write_file("again", text_of(file)));
  require(again.channels == set.channels && again.height == set.height && again.width == set.width, "other sizes");
  require(again.pixels == set.pixels, "other pixels");
}

void read(std::string_view input) {
  const auto [images, labels] = parts_of<2>(input);
  const std::string images_path = write_file("images", images), labels_path = write_file("labels", labels);
  const ImageSet set = read_idx_images(images_path);
  const std::int64_t count = std::ssize(set.pixels) / set.pixels_per_image();
  require(count > 0 && count * set.pixels_per_image() == std::ssize(set.pixels), "a part of an image");
  read_again(set, static_cast<std::uint32_t>(count));
  const ImageSet with_labels = read_idx_set("fuzz", images_path, labels_path, 0);
  require(with_labels.count() == count, "another number of labels");
  for (const std::int32_t label : with_labels.labels)
    require(label >= 0 && label < with_labels.classes, "a label too large");
  require(channel_statistics(with_labels).mean.size() == static_cast<std::size_t>(set.channels), "channels without a mean");
  require(fingerprint(with_labels, with_labels).size() == 64, "no SHA-256");
}

std::vector<std::string> seeds() {
  const Bytes grey = test::idx_file({3, 2, 4}, test::sample_bytes(24)),
              colour = test::idx_file({2, 3, 2, 2}, test::sample_bytes(24));
  const Bytes labels = test::idx_file({3}, {0, 9, 1}), two = test::idx_file({2}, {255, 0});
  const auto both = [](const Bytes& a, const Bytes& b) { return text_of(a) + std::string(kBetween) + text_of(b); };
  return {both(grey, labels),
          both(colour, two),
          both(test::gzip(grey), test::xz(labels)),
          both(test::xz(colour), test::gzip(two)),
          both(test::idx_file({2, 5, 5, 3}, test::sample_bytes(150)), two),
          both(test::idx_file({0x7fffffff, 0x7fffffff, 0x7fffffff}, {}), two),
          both(test::idx_file({1, 1}, {1}, 0x0d), labels)};
}

const Registered target{{"idx", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
