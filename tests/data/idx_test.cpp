#include "data/idx.h"

#include "tests/data/files.h"

namespace alma::test {
namespace {

const Bytes kTwoImages = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // 2 of 2 x 3

TEST(Idx, ReadsGreyAndColourImages) {
  const TemporaryFolder folder;
  const std::string labels = folder.write("labels", idx_file({2}, {4, 0}));
  const ImageSet grey = read_idx_set("digits", folder.write("grey", idx_file({2, 2, 3}, kTwoImages)), labels, 10);
  EXPECT_EQ(grey.name, "digits");
  EXPECT_EQ(grey.count(), 2);
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.height, 2);
  EXPECT_EQ(grey.width, 3);
  EXPECT_EQ(grey.classes, 10);
  EXPECT_EQ(grey.pixels, kTwoImages);
  EXPECT_EQ(grey.labels, (std::vector<std::int32_t>{4, 0}));

  const ImageSet colour = read_idx_set("c", folder.write("colour", idx_file({2, 3, 1, 2}, kTwoImages)), labels, 0);
  EXPECT_EQ(colour.channels, 3);
  EXPECT_EQ(colour.height, 1);
  EXPECT_EQ(colour.width, 2);
  EXPECT_EQ(colour.classes, 5);  // the largest label + 1
  EXPECT_EQ(colour.pixels_per_image(), 6);
}

TEST(Idx, ReadsPackedFilesOfManyPieces) {
  const TemporaryFolder folder;
  const Bytes pixels = sample_bytes(1009 * 31 * 33);
  for (const Bytes& stored : {gzip(idx_file({1009, 31, 33}, pixels)), xz(idx_file({1009, 31, 33}, pixels))})
    EXPECT_EQ(read_idx_images(folder.write("images", stored)).pixels, pixels);
}

TEST(Idx, LabelsUpTo255) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_idx_labels(folder.write("labels", idx_file({3}, {0, 128, 255}))), (std::vector<std::int32_t>{0, 128, 255}));
}

struct Damage {
  const char* what;
  Bytes file;
  std::vector<std::string> message;
};

TEST(Idx, EveryWrongImagesFileHasItsMessage) {
  const TemporaryFolder folder;
  const std::vector<Damage> cases = {
      {"labels given for images", idx_file({2}, {1, 2}), {"begins with 00 00 08 01", "expected 00 00 08 03", "labels file"}},
      {"web page", {'<', '!', 'D', 'O', 'C', 'T'}, {"begins with 3c 21 44 4f", "web page"}},
      {"zip", {'P', 'K', 3, 4, 0}, {"begins with 50 4b 03 04", "ZIP"}},
      {"text", {'h', 'e', 'l', 'l', 'o'}, {"begins with 68 65 6c 6c", "expected 00 00 08 03"}},
      {"floats", idx_file({2, 2, 3}, Bytes(48, 0), 0x0d), {"00 00 0d 03", "elements are f32", "expected u8"}},
      {"unknown type", idx_file({2, 2, 3}, kTwoImages, 0x42), {"00 00 42 03", "unknown type"}},
      {"rank 2", idx_file({2, 6}, kTwoImages), {"00 00 08 02", "2 dimensions"}},
      {"rank 0", idx_file({}, {}), {"00 00 08 00", "0 dimensions"}},
      {"rank 5", idx_file({2, 1, 1, 2, 3}, kTwoImages), {"00 00 08 05", "5 dimensions"}},
      {"3 bytes", {0, 0, 8}, {"too short: 3 bytes", "header of 4"}},
      {"header cut", first_bytes(idx_file({2, 2, 3}, {}), 15), {"too short: 15 bytes", "header of 16"}},
      {"no pixels", idx_file({2, 2, 3}, {}), {"too short: 16 bytes", "2 x 2 x 3", "promises 28"}},
      {"a pixel missing", idx_file({2, 2, 3}, first_bytes(kTwoImages, 11)), {"too short: 27 bytes", "promises 28"}},
      {"a pixel too many", idx_file({2, 2, 3}, join(kTwoImages, {0})), {"too long: 29 bytes", "2 x 2 x 3", "promises 28"}},
      {"no images", idx_file({0, 28, 28}, {}), {"holds 0 images"}},
      {"size zero", idx_file({2, 0, 3}, {}), {"2 x 0 x 3", "size of 0"}},
      {"huge sizes", idx_file({0xffffffff, 0xffffffff, 0xffffffff}, {}), {"promises more than"}},
      {"product overflows", idx_file({0x10000, 0x10000, 0x10000, 0x10000}, {}), {"promises more than"}},
      {"channels last", idx_file({2, 6, 6, 3}, Bytes(216, 1)), {"2 x 6 x 6 x 3", "6 channels", "at most 4", "transpose"}},
      {"channels last, and few", idx_file({2, 4, 4, 3}, Bytes(96, 1)), {"2 x 4 x 4 x 3", "channels seem to stand last"}},
      {"grey, channels last", idx_file({2, 8, 8, 1}, Bytes(128, 1)), {"2 x 8 x 8 x 1", "channels seem to stand last"}},
      {"5 channels", idx_file({1, 5, 8, 8}, Bytes(320, 1)), {"5 channels", "expected at most 4", "fewer channels"}},
      {"empty", {}, {"empty file"}},
  };
  for (const auto& [what, file, message] : cases) {
    SCOPED_TRACE(what);
    std::vector<std::string> parts = message;
    parts.push_back(folder / "images");
    // Packed files give the same messages about the same content (an empty one is said to be empty once unpacked).
    const std::string path = folder.write("images", file);
    expect_error(ErrorKind::data, parts, [&] { read_idx_images(path); });
    if (file.empty()) continue;
    folder.write("images", gzip(file));
    expect_error(ErrorKind::data, parts, [&] { read_idx_images(path); });
  }
}

TEST(Idx, EveryWrongLabelsFileHasItsMessage) {
  const TemporaryFolder folder;
  const std::vector<Damage> cases = {
      {"images given for labels", idx_file({2, 2, 3}, kTwoImages), {"00 00 08 03", "expected 00 00 08 01", "images file"}},
      {"label missing", idx_file({3}, {1, 2}), {"too short: 10 bytes", "promises 11"}},
      {"label too many", idx_file({1}, {1, 2}), {"too long: 10 bytes", "promises 9"}},
      {"i32", idx_file({1}, {0, 0, 0, 1}, 0x0c), {"elements are i32"}},
      {"none", idx_file({0}, {}), {"holds 0 labels"}},
  };
  for (const auto& [what, file, message] : cases) {
    SCOPED_TRACE(what);
    const std::string path = folder.write("labels", file);
    expect_error(ErrorKind::data, message, [&] { read_idx_labels(path); });
  }
}

TEST(Idx, ImagesAndLabelsMustFit) {
  const TemporaryFolder folder;
  const std::string images = folder.write("images", idx_file({2, 2, 3}, kTwoImages));
  const std::string three = folder.write("three", idx_file({3}, {0, 1, 2}));
  expect_error(ErrorKind::data, {three, images, "3 labels for the 2 images"}, [&] { read_idx_set("s", images, three, 10); });
  const std::string one = folder.write("one", idx_file({1}, {0}));
  expect_error(ErrorKind::data, {one, images, "1 labels for the 2 images"}, [&] { read_idx_set("s", images, one, 10); });
  const std::string wrong = folder.write("wrong", idx_file({2}, {9, 10}));
  expect_error(ErrorKind::data, {wrong, "label 10 at position 1", "below 10"},
               [&] { read_idx_set("s", images, wrong, 10); });
  EXPECT_EQ(read_idx_set("s", images, wrong, 11).classes, 11);
}

TEST(Idx, DamagedPackingIsNotTakenForContent) {
  const TemporaryFolder folder;
  const Bytes file = idx_file({257, 31, 31}, sample_bytes(257 * 31 * 31));
  for (const Bytes& packed : {gzip(file), xz(file)}) {
    for (const std::size_t keep : {std::size_t{20}, packed.size() / 3, packed.size() / 2, packed.size() - 1}) {
      const std::string path = folder.write("images", first_bytes(packed, keep));
      expect_error(ErrorKind::data, {path, "truncated"}, [&] { read_idx_images(path); });
    }
  }
}

TEST(Idx, StatisticsOfChannels) {
  ImageSet set{"s", 2, 1, 2, 2, {0, 255, 51, 51, 255, 0, 51, 51}, {0, 1}};
  const ChannelStatistics statistics = channel_statistics(set);
  EXPECT_EQ(statistics.mean, (std::vector<float>{0.5f, 0.2f}));
  EXPECT_EQ(statistics.std, (std::vector<float>{0.5f, 0.0f}));
}

}  // namespace
}  // namespace alma::test
