// Whether data are what their name says, and the same as before.
#include "data/identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/checksum.h"
#include "base/files.h"
#include "data/images.h"
#include "data/verify.h"
#include "tests/data/files.h"
#include "tests/data/real_data.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

class Identity : public testing::Test {
 protected:
  /// A set of two published files, "images" and "labels".
  PublishedSet set() const {
    PublishedSet set;
    set.name = "tiny";
    for (const auto& [name, content] : {std::pair{"images", images_}, std::pair{"labels", labels_}})
      set.files.push_back({name, static_cast<std::int64_t>(content.size()), sha256(content)});
    return set;
  }
  std::string identify_files() const { return identify(set(), {folder_ / "images", folder_ / "labels"}); }
  /// Writes other bytes of the same number; size, inode and time of modification stay as they were.
  void change_behind_its_back(const std::string& path) const {
    struct stat before {
    }, now{};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    do {  // the clock of file times goes in steps of some milliseconds
      folder_.write("clock", {});
      ASSERT_EQ(::stat((folder_ / "clock").c_str(), &now), 0);
    } while (now.st_ctim.tv_sec == before.st_ctim.tv_sec && now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(100).put('\x01').put('\x02');
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  std::vector<fs::path> remembered() const {
    std::vector<fs::path> files;
    if (fs::exists(folder_ / "cache/alma/verified"))
      for (const auto& entry : fs::directory_iterator(folder_ / "cache/alma/verified")) files.push_back(entry.path());
    return files;
  }
  void expect_damaged(const std::string& name) const {
    expect_error(ErrorKind::data,
                 {folder_ / name, "damaged", "expected " + sha256(name == "images" ? images_ : labels_), name + " of tiny"},
                 [&] { identify_files(); });
  }

  const Bytes images_ = sample_bytes(5000, 1), labels_ = sample_bytes(300, 2);
  const TemporaryFolder folder_;
  const ScopedVariable cache_{"XDG_CACHE_HOME", folder_ / "cache"};
  const std::string images_path_ = folder_.write("images", images_), labels_path_ = folder_.write("labels", labels_);
};

TEST_F(Identity, TheContentDecidesHoweverItIsPacked) {
  EXPECT_EQ(identify_files(), "");
  folder_.write("images", gzip(images_));
  folder_.write("labels", xz(labels_));
  EXPECT_EQ(identify_files(), "");
}

TEST_F(Identity, ADamagedFileIsNamed) {
  Bytes damaged = labels_;
  damaged[17] ^= 1;
  folder_.write("labels", damaged);
  expect_damaged("labels");
  expect_error(ErrorKind::data, {"SHA-256 " + sha256(damaged), "stream.dataset = \"idx\""}, [&] { identify_files(); });
  folder_.write("labels", gzip(damaged));
  expect_damaged("labels");
}

TEST_F(Identity, FilesOfAnotherSizeAreDataOfOnesOwn) {
  folder_.write("images", sample_bytes(4999));
  const std::string warning = identify_files();
  for (const std::string& part : {std::string("stream.dataset = \"tiny\""), images_path_ + " (4999 bytes, published: 5000)",
                                  std::string("the numbers of this run are not those of tiny")})
    EXPECT_NE(warning.find(part), std::string::npos) << warning;
  EXPECT_EQ(warning.find("labels"), std::string::npos) << warning;
}

TEST_F(Identity, WhatWasVerifiedIsRemembered) {
  EXPECT_EQ(identify_files(), "");
  const std::vector<fs::path> files = remembered();
  ASSERT_EQ(files.size(), 2u);
  // That the memory is used shows when it says something else.
  const std::string wrong = "5000 " + std::string(64, 'a') + "\n";
  for (const fs::path& file : files) std::ofstream(file) << wrong;
  expect_error(ErrorKind::data, {images_path_, std::string(64, 'a')}, [&] { identify_files(); });
  // A file that was touched is another one.
  fs::last_write_time(images_path_, fs::last_write_time(images_path_) + std::chrono::seconds(1));
  fs::copy_file(labels_path_, folder_ / "copy");
  fs::rename(folder_ / "copy", labels_path_);
  EXPECT_EQ(identify_files(), "");
  EXPECT_EQ(remembered().size(), 4u);
}

TEST_F(Identity, AChangedFileIsVerifiedAgain) {
  EXPECT_EQ(identify_files(), "");
  change_behind_its_back(images_path_);
  expect_damaged("images");
  expect_damaged("images");  // which is remembered as well
  folder_.write("images", images_);
  EXPECT_EQ(identify_files(), "");
  // Another file under the same name, by a link.
  Bytes other = images_;
  other[0] ^= 1;
  fs::remove(images_path_);
  fs::create_symlink(folder_.write("other", other), images_path_);
  expect_damaged("images");
}

TEST_F(Identity, AMemoryThatCannotBeUsedCostsTimeAlone) {
  EXPECT_EQ(identify_files(), "");
  const std::vector<fs::path> files = remembered();
  for (const std::string& text : {std::string(), std::string("garbage"), std::string("5000 abc"), std::string(100'000, '7'),
                                  "99999999999999999999 " + std::string(64, 'a')}) {
    for (const fs::path& file : files) std::ofstream(file) << text;
    EXPECT_EQ(identify_files(), "") << text.substr(0, 50);
  }
  for (const fs::path& file : files) {
    fs::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);  // a reader would wait for ever
  }
  const File keeps_it_from_waiting(files[0], O_RDWR, File::Kind::any), this_too(files[1], O_RDWR, File::Kind::any);
  EXPECT_EQ(identify_files(), "");
  fs::remove_all(folder_ / "cache");
  std::ofstream(folder_ / "cache") << "no folder";
  EXPECT_EQ(identify_files(), "");
  const ScopedVariable no_cache("XDG_CACHE_HOME", std::nullopt), no_home("HOME", std::nullopt);
  EXPECT_EQ(identify_files(), "");
  change_behind_its_back(labels_path_);
  expect_damaged("labels");
}

TEST_F(Identity, VerifyLooksAtTheContentWhateverIsRemembered) {
  EXPECT_EQ(identify_files(), "");
  for (const fs::path& file : remembered()) std::ofstream(file) << "5000 " << std::string(64, 'a') << '\n';
  EXPECT_TRUE(check_file(set().files[0], images_path_).ok());
  change_behind_its_back(images_path_);
  const FileCheck check = check_file(set().files[0], images_path_);
  EXPECT_EQ(check.problem, "the content differs from the published one");
  EXPECT_EQ(check.bytes, 5000);
}

// The labels of one set under the names of the other: of the same size, and well known.
TEST_F(Identity, AnotherPublishedSetIsCalledByItsName) {
  for (const char* name : {"mnist", "fashion-mnist"})
    if (const std::string reason = unavailable(name); !reason.empty()) GTEST_SKIP() << reason;
  const PublishedSet &mnist = published_set("mnist"), &fashion = published_set("fashion-mnist");
  std::vector<std::string> paths = find_place(fashion).paths;
  EXPECT_EQ(identify(fashion, paths), "");
  paths[3] = find_place(mnist).paths[3];
  expect_error(ErrorKind::data,
               {paths[3], "this is t10k-labels-idx1-ubyte of mnist", "t10k-labels-idx1-ubyte of fashion-mnist"},
               [&] { identify(fashion, paths); });
}

ImageSet images_of(const Bytes& pixels, const std::vector<std::int32_t>& labels) {
  return {"set", 1, 1, 2, 3, pixels, labels};
}

TEST(Fingerprint, IsTheSumOfWhatTheSetsHold) {
  const ImageSet train = images_of({0, 255, 7, 9}, {2, 0}), test = images_of({1, 2}, {1});
  // Of "2 1 1 2 3\n", the pixels, "2 0 ", and the same of the test set, by another program.
  EXPECT_EQ(fingerprint(train, test), "64e6e44af8ef9aca52b5cc4b238360fb22895323b5a353adedcf695f2fb3fb5b");
  ImageSet renamed = train;
  renamed.name = "another name";
  EXPECT_EQ(fingerprint(renamed, test), fingerprint(train, test));
}

TEST(Fingerprint, OtherDataHaveAnother) {
  const ImageSet train = images_of({0, 255, 7, 9}, {2, 0}), test = images_of({1, 2}, {1});
  const auto changed = [&](const std::function<void(ImageSet&)>& change) {
    ImageSet copy = train;
    change(copy);
    return fingerprint(copy, test);
  };
  std::vector<std::string> all = {fingerprint(train, test), fingerprint(test, train)};
  for (const auto& change : std::vector<std::function<void(ImageSet&)>>{
           [](ImageSet& set) { set.pixels[2] = 8; }, [](ImageSet& set) { std::swap(set.pixels[0], set.pixels[1]); },
           [](ImageSet& set) {
             set.labels = {0, 2};
           },
           [](ImageSet& set) {
             set.labels = {20, 0};
           },
           [](ImageSet& set) { set.classes = 4; }, [](ImageSet& set) { std::swap(set.height, set.width); },
           [](ImageSet& set) { std::swap(set.channels, set.width); },
           [](ImageSet& set) { set.pixels.resize(2), set.labels.resize(1); }})
    all.push_back(changed(change));
  // An image and its label that move from one set to the other.
  all.push_back(fingerprint(images_of({0, 255}, {2}), images_of({7, 9, 1, 2}, {0, 1})));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  for (const std::string& sum : all) EXPECT_EQ(sum.size(), 64u);
}

}  // namespace
}  // namespace alma::test
