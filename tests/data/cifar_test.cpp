#include "data/cifar.h"

#include "tests/data/files.h"

namespace alma::test {
namespace {

// Records with the given labels; pixel p of record r is (r + p) mod 251.
Bytes records(const std::vector<std::uint8_t>& labels) {
  Bytes bytes;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    bytes.push_back(labels[r]);
    for (std::size_t p = 0; p < 3072; ++p) bytes.push_back(static_cast<std::uint8_t>((r + p) % 251));
  }
  return bytes;
}

TEST(Cifar, ReadsRecordsFromEveryPacking) {
  const TemporaryFolder folder;
  const Bytes plain = records({3, 0, 9});
  for (const Bytes& packed : {plain, gzip(plain), xz(plain)}) {
    CifarReader reader("cifar", 4);
    read_cifar_file(folder.write("a", packed), reader);
    read_cifar_file(folder.write("b", records({7})), reader);
    const ImageSet set = reader.finish();
    EXPECT_EQ(set.labels, (std::vector<std::int32_t>{3, 0, 9, 7}));
    ASSERT_EQ(set.pixels.size(), 4u * 3072);
    EXPECT_EQ(set.channels, 3);
    EXPECT_EQ(set.height, 32);
    EXPECT_EQ(set.width, 32);
    EXPECT_EQ(set.classes, 10);
    EXPECT_EQ(set.pixels[0], 0);                         // red, first row
    EXPECT_EQ(set.pixels[2 * 3072 + 1024], 1026 % 251);  // green of the third
    EXPECT_EQ(set.pixels[3 * 3072 + 5], 5);
  }
}

TEST(Cifar, PiecesMayEndAnywhere) {
  const Bytes bytes = records({1, 2, 3});
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{3073}, std::size_t{4000}}) {
    CifarReader reader("cifar", 0);
    for (std::size_t at = 0; at < bytes.size(); at += size)
      reader.take("x", std::span(bytes).subspan(at, std::min(size, bytes.size() - at)));
    reader.end_file("x");
    const ImageSet set = reader.finish();
    EXPECT_EQ(set.labels, (std::vector<std::int32_t>{1, 2, 3})) << size;
    EXPECT_EQ(set.pixels.back(), (2 + 3071) % 251) << size;
  }
}

TEST(Cifar, DamageIsNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const Bytes& bytes, const std::vector<std::string>& parts) {
    const std::string path = folder.write("batch.bin", bytes);
    std::vector<std::string> all = parts;
    all.push_back(path);
    expect_error(ErrorKind::data, all, [&] {
      CifarReader reader("cifar", 0);
      read_cifar_file(path, reader);
    });
  };
  Bytes wrong = records({1, 2, 10});
  refused(wrong, {"record 2 has label 10, expected 0 .. 9"});
  Bytes cut = records({1, 2});
  cut.pop_back();
  refused(cut, {"ends within record 1", "1 of its 3072 pixels"});
  refused(Bytes{}, {"empty"});
}

}  // namespace
}  // namespace alma::test
