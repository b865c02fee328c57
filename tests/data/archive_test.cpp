#include "data/archive.h"

#include <filesystem>

#include "base/checksum.h"
#include "data/file.h"
#include "tests/data/files.h"
#include "tests/data/tar.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;
using Type = TarEntry::Type;

/// An archive with the files one.bin and two.bin, and what else a test puts into it.
class Archive : public testing::Test {
 protected:
  static PublishedFile published(const std::string& name, const Bytes& content) {
    return {name, static_cast<std::int64_t>(content.size()), sha256(content)};
  }
  std::vector<std::unique_ptr<PartFile>> take(const Bytes& archive) const {
    fs::create_directory(out_);
    return extract(folder_.write("archive", archive), files_, out_);
  }
  void expect_refused(const std::vector<std::string>& parts, const Bytes& archive) const {
    expect_error(ErrorKind::data, parts, [&] { take(archive); });
    EXPECT_TRUE(fs::is_empty(out_)) << parts.front();
    const auto there = std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator());
    EXPECT_EQ(there, 2) << "more than the archive and the empty folder: " << parts.front();
  }
  /// The entry stands before, and behind, the files.
  void expect_refused_with(const TarEntry& entry, const std::string& why) const {
    expect_refused({"refused", "\"" + entry.path + "\"", why}, gzip(tar({entry, one_, two_})));
    expect_refused({"refused", "\"" + entry.path + "\"", why}, gzip(tar({one_, two_, entry})));
  }

  TemporaryFolder folder_;
  const fs::path out_ = folder_ / "out";
  const TarEntry one_{"set/one.bin", sample_bytes(700000)}, two_{"set/two.bin", sample_bytes(1000, 2)};
  const std::vector<PublishedFile> files_ = {published("one.bin", one_.content), published("two.bin", two_.content)};
};

TEST_F(Archive, TakesTheNamedFilesFromEveryPacking) {
  const Bytes plain = tar({{"set", {}, Type::folder}, two_, {"set/readme.html", {1, 2, 3}}, one_});
  for (const Bytes& packed : {plain, gzip(plain), xz(plain)}) {
    const auto parts = take(packed);
    ASSERT_EQ(parts.size(), 2u);
    for (const auto& part : parts) part->publish();
    EXPECT_TRUE(read_file(out_ / "one.bin") == one_.content);
    EXPECT_TRUE(read_file(out_ / "two.bin") == two_.content);
    EXPECT_EQ(std::distance(fs::directory_iterator(out_), fs::directory_iterator()), 2);
    fs::remove_all(out_);
  }
}

TEST_F(Archive, NothingStaysOfWhatIsNotPublished) {
  take(tar({one_, two_}));
  EXPECT_TRUE(fs::is_empty(out_));
}

TEST_F(Archive, PathsThatLeaveTheFolder) {
  expect_refused_with({"../escaped", {1}}, "leaves the folder");
  expect_refused_with({"set/../../escaped", {1}}, "leaves the folder");
  expect_refused_with({"../one.bin", one_.content}, "leaves the folder");
  expect_refused_with({folder_ / "escaped", {1}}, "absolute path");
}

TEST_F(Archive, LinksAndSpecialFiles) {
  expect_refused_with({"door", {}, Type::symbolic_link, folder_.path()}, "symbolic link");
  expect_refused({"symbolic link"},
                 tar({{"door", {}, Type::symbolic_link, folder_.path()}, {"door/escaped", {1}}, one_, two_}));
  expect_refused_with({"set/one.bin", {}, Type::symbolic_link, "/etc/passwd"}, "symbolic link");
  expect_refused_with({"hard", {}, Type::hard_link, "/etc/passwd"}, "hard link");
  expect_refused_with({"set/disk", {}, Type::device}, "neither a file nor a folder");
  expect_refused_with({"set/pipe", {}, Type::pipe}, "neither a file nor a folder");
  expect_refused({"lacks two.bin"}, tar({one_, {"set/two.bin", {}, Type::folder}}));
}

TEST_F(Archive, FilesOfAnotherSizeOrContent) {
  const Bytes zeros(1000), longer(1001), large((64 << 20) + 1);
  expect_refused({"\"set/two.bin\" differs from the published file"}, tar({one_, {"set/two.bin", zeros}}));
  expect_refused({"\"set/two.bin\" has 1001 bytes, expected 1000"}, tar({one_, {"set/two.bin", longer}}));
  expect_refused({"\"set/two.bin\" has 67108865 bytes"}, gzip(tar({one_, {"set/two.bin", large}})));
  expect_refused_with({"set/bomb", large}, "too large");
  expect_refused({"occurs twice"}, tar({one_, two_, {"other/two.bin", two_.content}}));
  expect_refused({"lacks one.bin"}, tar({two_}));
}

TEST_F(Archive, MoreEntriesThanAnyDataSetHas) {
  std::vector<TarEntry> entries(10000, {"empty", {}});
  entries.push_back(one_);
  entries.push_back(two_);
  expect_refused({"more entries"}, gzip(tar(entries)));
}

TEST_F(Archive, GarbageAndDamage) {
  const Bytes plain = tar({one_, two_}), packed = gzip(plain);
  Bytes flipped = packed;
  flipped[packed.size() / 2] ^= 0x10;
  expect_refused({"not a tar archive, or damaged"}, sample_bytes(5000));
  expect_refused({"not a tar archive, or damaged"}, gzip(sample_bytes(5000)));
  expect_refused({"archive"}, {});
  expect_refused({"damaged"}, first_bytes(packed, packed.size() / 2));
  expect_refused({"damaged"}, first_bytes(plain, 300000));
  expect_refused({"archive"}, flipped);
}

}  // namespace
}  // namespace alma::test
