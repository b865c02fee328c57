#include "data/fetch.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/checksum.h"
#include "data/file.h"
#include "tests/data/files.h"
#include "tests/data/http_server.h"
#include "tests/data/tar.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

/// Sets made for the test, served from loopback.
class FetchTest : public testing::Test {
 protected:
  static PublishedSet make_set(const std::string& archive) {
    PublishedSet set;
    set.name = "digits";
    set.archive = archive;
    for (const auto& [name, content] :
         {std::pair{"images", sample_bytes(300000)}, std::pair{"labels", sample_bytes(500, 2)}})
      set.files.push_back({name, static_cast<std::int64_t>(content.size()), sha256(content)});
    return set;
  }
  FetchTest() {
    options_.folder = folder_ / "cache";
    options_.mirrors = {server_.url() + "/mirror"};
    options_.patience = {60, 60, 2, 0.01};
  }
  void serve_files() {
    server_.serve("/mirror/images.gz", gzip(images_));
    server_.serve("/mirror/labels.gz", gzip(labels_));
  }
  void expect_files() const {
    EXPECT_TRUE(read_file(find_packed(folder_ / "cache/digits", "images")) == images_);
    EXPECT_TRUE(read_file(find_packed(folder_ / "cache/digits", "labels")) == labels_);
  }
  std::set<std::string> there() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache/digits")) names.insert(entry.path().filename());
    return names;
  }
  std::vector<std::string> asked() const {
    std::vector<std::string> paths;
    for (const HttpServer::Request& request : server_.requests()) paths.push_back(request.path);
    return paths;
  }

  const Bytes images_ = sample_bytes(300000), labels_ = sample_bytes(500, 2);
  TemporaryFolder folder_;
  ScopedVariable no_proxy_{"no_proxy", "127.0.0.1"};
  HttpServer server_;
  const PublishedSet files_ = make_set(""), archive_ = make_set("digits.tar.gz");
  FetchOptions options_;
};

TEST_F(FetchTest, BringsFilesOnce) {
  serve_files();
  Fetched fetched = fetch(files_, options_);
  EXPECT_TRUE(fetched.complete);
  EXPECT_EQ(fetched.folder, folder_ / "cache/digits");
  EXPECT_EQ(fetched.fetched, 2);
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images.gz", "labels.gz"}));
  expect_files();
  fetched = fetch(files_, options_);
  EXPECT_EQ(fetched.fetched, 0);
  EXPECT_EQ(fetched.kept, 2);
  EXPECT_EQ(asked(), (std::vector<std::string>{"/mirror/images.gz", "/mirror/labels.gz"}));
}

// Mirrors may have a file under another name, and not packed.
TEST_F(FetchTest, TakesTheNameThatMirrorsHave) {
  PublishedSet set = files_;
  set.files[0].at_mirror = "train.bin";
  serve_files();
  server_.serve("/mirror/train.bin", images_);
  EXPECT_TRUE(fetch(set, options_).complete);
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images", "labels.gz"}));
  expect_files();
}

TEST_F(FetchTest, OwnMirrorsFirstThenThoseOfTheSet) {
  PublishedSet set = files_;
  set.mirrors = {server_.url() + "/official/"};
  serve_files();
  server_.serve("/official/images.gz", gzip(images_));
  server_.serve("/mirror/images.gz", std::vector<Reply>{Reply{404, {}, {}}});
  fetch(set, options_);
  expect_files();
  // What served one file is asked first for the next.
  EXPECT_EQ(asked(), (std::vector<std::string>{"/mirror/images.gz", "/official/images.gz", "/official/labels.gz",
                                               "/mirror/labels.gz"}));
}

TEST_F(FetchTest, ADamagedFileGivesWayToAGoodOneAlone) {
  const std::string damaged = folder_.write("cache/digits/labels", {1, 2, 3});
  folder_.write("cache/digits/images.xz", xz(images_));
  server_.serve("/mirror/labels.gz", gzip(sample_bytes(500, 3)));
  expect_error(ErrorKind::data,
               {"digits: labels.gz: no mirror serves it", "/mirror/labels.gz: the content differs from the published one",
                "--mirror URL", "FOLDER/digits", "ALMA_DATA=FOLDER"},
               [&] { fetch(files_, options_); });
  EXPECT_EQ(read_file(damaged), (Bytes{1, 2, 3}));
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images.xz", "labels"}));

  server_.serve("/mirror/labels.gz", gzip(labels_));
  const Fetched fetched = fetch(files_, options_);
  EXPECT_EQ(fetched.fetched, 1);
  EXPECT_EQ(fetched.kept, 1);
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images.xz", "labels.gz"}));  // the plain one would be found first
  expect_files();
}

TEST_F(FetchTest, ContentThatUnpacksToTooMuchOrBreaksOff) {
  serve_files();
  server_.serve("/mirror/images.gz", gzip(Bytes(100 << 20)));  // 100 kB that unpack to 100 MiB
  expect_error(ErrorKind::data, {"holds more than 300000 bytes once unpacked"}, [&] { fetch(files_, options_); });
  const Bytes packed = gzip(images_);
  server_.serve("/mirror/images.gz", first_bytes(packed, packed.size() - 100));
  expect_error(ErrorKind::data, {"truncated"}, [&] { fetch(files_, options_); });
  server_.serve("/mirror/images.gz", Bytes(3 << 20, 1));
  expect_error(ErrorKind::data, {"announces 3145728 bytes"}, [&] { fetch(files_, options_); });
  EXPECT_EQ(there(), std::set<std::string>{".lock"});
}

TEST_F(FetchTest, FilesOfAnArchive) {
  const Bytes archive = gzip(tar({{"d/images", images_}, {"d/labels", labels_}, {"d/readme", {1}}}));
  server_.serve("/mirror/digits.tar.gz", archive);
  EXPECT_EQ(fetch(archive_, options_).fetched, 2);
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images", "labels"}));
  expect_files();
  EXPECT_EQ(fetch(archive_, options_).kept, 2);
  EXPECT_EQ(asked().size(), 1u);

  folder_.write("cache/digits/labels", {1, 2, 3});  // only what is damaged is taken out again
  EXPECT_EQ(fetch(archive_, options_).fetched, 1);
  expect_files();
}

TEST_F(FetchTest, AHostileArchiveIsRefusedAndTheNextMirrorTried) {
  const TarEntry images{"images", images_}, labels{"labels", labels_};
  const std::vector<TarEntry> hostile = {{"../escaped", {1}},
                                         {folder_ / "escaped", {1}},
                                         {"door", {}, TarEntry::Type::symbolic_link, folder_.path()},
                                         {"hard", {}, TarEntry::Type::hard_link, "/etc/passwd"},
                                         {"bomb", Bytes(65 << 20)}};
  for (const TarEntry& entry : hostile) {
    server_.serve("/mirror/digits.tar.gz", gzip(tar({images, entry, {"door/escaped", {1}}, labels})));
    expect_error(ErrorKind::data, {"the archive is refused", entry.path}, [&] { fetch(archive_, options_); });
    EXPECT_EQ(there(), std::set<std::string>{".lock"}) << entry.path;
    EXPECT_FALSE(fs::exists(folder_ / "escaped"));
    EXPECT_FALSE(fs::exists(folder_ / "cache/escaped"));
  }
  server_.serve("/good/digits.tar.gz", gzip(tar({images, labels})));
  options_.mirrors.push_back(server_.url() + "/good");
  fetch(archive_, options_);
  expect_files();
}

TEST_F(FetchTest, TwoAtOnceShareTheWork) {
  serve_files();
  Reply slow;
  slow.body = gzip(images_);
  slow.bytes_per_second = 400000;
  server_.serve("/mirror/images.gz", {slow});
  std::vector<Fetched> fetched(3);
  std::vector<std::thread> threads;
  for (Fetched& one : fetched) threads.emplace_back([&] { one = fetch(files_, options_); });
  for (std::thread& thread : threads) thread.join();
  expect_files();
  int total = 0;
  for (const Fetched& one : fetched) {
    EXPECT_TRUE(one.complete);
    total += one.fetched;
  }
  EXPECT_EQ(total, 2);
  EXPECT_EQ(asked().size(), 2u);
}

TEST_F(FetchTest, StoppedAndContinued) {
  serve_files();
  const Bytes packed = gzip(images_);
  Reply stalled;
  stalled.body = packed;
  stalled.send = 1000;
  stalled.stall = true;
  server_.serve("/mirror/images.gz", {stalled, Reply{200, packed, {}}});
  std::int64_t arrived = 0;
  options_.watch.progress = [&](const std::string&, std::int64_t done, std::int64_t) { arrived = done; };
  options_.watch.stop = [&] { return arrived >= 1000; };
  EXPECT_FALSE(fetch(files_, options_).complete);
  EXPECT_EQ(there(), (std::set<std::string>{".lock", "images.gz.part"}));
  options_.watch.stop = nullptr;
  EXPECT_TRUE(fetch(files_, options_).complete);
  EXPECT_EQ(server_.requests().at(1).range, "bytes=1000-");
  expect_files();
}

TEST_F(FetchTest, AFolderThatCannotBeMade) {
  options_.folder = folder_.write("file", {1});
  expect_error(ErrorKind::failed, {"cannot create the folder", "file/digits", "XDG_CACHE_HOME"},
               [&] { fetch(files_, options_); });
}

TEST(Mirrors, FromOptionsThenFromTheEnvironment) {
  const ScopedVariable mirrors("ALMA_MIRRORS", "http://c/d  https://e");
  EXPECT_EQ(own_mirrors({"https://a/b/"}), (std::vector<std::string>{"https://a/b/", "http://c/d", "https://e"}));
  expect_error(ErrorKind::usage, {"mirror \"/data\"", "--mirror", "ALMA_MIRRORS", "https://"},
               [] { own_mirrors({"/data"}); });
  const ScopedVariable wrong("ALMA_MIRRORS", "file:///data");
  expect_error(ErrorKind::usage, {"mirror \"file:///data\""}, [] { own_mirrors({}); });
}

TEST(Published, EverySetSaysWhereItIsAndWhatItHolds) {
  for (const PublishedSet& set : published_sets()) {
    EXPECT_EQ(set.mirrors.empty(), set.name == "novels") << set.name;
    for (const std::string& mirror : set.mirrors) EXPECT_TRUE(mirror.ends_with('/')) << mirror;
    for (const PublishedFile& file : set.files) {
      EXPECT_GT(file.bytes, 0) << file.name;
      EXPECT_EQ(file.sha256.size(), 64u) << file.name;
    }
    const std::size_t of_images = set.images && set.images->format == ImageFormat::cifar ? 6 : 4;
    EXPECT_EQ(set.files.size(), set.images ? of_images : set.name == "novels" ? 3 : 2) << set.name;
  }
  expect_error(ErrorKind::usage,
               {"idx: no data set with published files", "mnist, fashion-mnist, cifar10, wikitext2, novels"},
               [] { published_set("idx"); });
}

}  // namespace
}  // namespace alma::test
