#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <set>

#include "data/file.h"
#include "data/published.h"
#include "data/verify.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"
#include "tests/data/http_server.h"
#include "tests/data/tar.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using test::Bytes;
using test::expect_failure;
using test::HttpServer;
using test::Outcome;
using test::Program;
using test::Reply;
using test::run_alma;

const std::vector<std::string> kNames = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte"};
const fs::path kInstalled = "/usr/share/datasets/fashion-mnist";  // by the package dataset-fashion-mnist, see setup.sh

Bytes raw(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The program with a cache of its own and a web server on loopback. Fashion-MNIST is served from the installed package; a
/// damaged copy in the cache stands before the package in the search, so that there is something to fetch.
class CliFetch : public testing::Test {
 protected:
  void serve_fashion() {
    for (const std::string& name : kNames) {
      server_.serve("/fashion/" + name + ".gz", raw(kInstalled / (name + ".gz")));
      folder_.write("cache/alma/fashion-mnist/" + name, {1, 2, 3});
    }
  }
  std::vector<std::string> fetch_fashion(std::vector<std::string> extra = {}) const {
    std::vector<std::string> arguments = {"data", "fetch", "fashion-mnist", "--mirror", server_.url() + "/fashion"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return arguments;
  }
  Outcome run(const std::vector<std::string>& arguments) const { return run_alma(folder_.path(), arguments); }
  std::set<std::string> there() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(cache_)) names.insert(entry.path().filename());
    return names;
  }
  void expect_fashion() const {
    std::set<std::string> expected = {".lock"};
    for (const std::string& name : kNames) expected.insert(name + ".gz");
    EXPECT_EQ(there(), expected);
    for (const FileCheck& check : verify("fashion-mnist")) {
      EXPECT_TRUE(check.ok()) << check.problem;
      EXPECT_EQ(fs::path(check.path).parent_path(), cache_);
    }
  }
  /// The first file stops after a third; then a signal ends the program.
  Outcome end_in_the_middle(int signal) {
    const std::string path = "/fashion/" + kNames[0] + ".gz";
    Reply stalled;
    stalled.body = raw(kInstalled / (kNames[0] + ".gz"));
    stalled.send = static_cast<std::int64_t>(stalled.body.size() / 3);
    stalled.stall = true;
    Reply good = stalled;
    good.send = -1;
    good.stall = false;
    server_.serve(path, {stalled, good});
    Program process(folder_.path(), fetch_fashion());
    const fs::path part = cache_ / (kNames[0] + ".gz.part");
    std::error_code no_throw;
    const auto third_is_there = [&] { return fs::file_size(part, no_throw) == static_cast<std::uintmax_t>(stalled.send); };
    EXPECT_TRUE(process.wait_until(third_is_there));
    process.signal(signal);
    Outcome outcome = process.finish();
    EXPECT_EQ(fs::file_size(part, no_throw), static_cast<std::uintmax_t>(stalled.send));
    EXPECT_EQ(read_file(cache_ / kNames[0]), (Bytes{1, 2, 3}));  // what was there is untouched
    return outcome;
  }
  void expect_continued() const {
    const Outcome outcome = run(fetch_fashion());
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(server_.requests().at(1).range,
              "bytes=" + std::to_string(fs::file_size(kInstalled / (kNames[0] + ".gz")) / 3) + "-");
    expect_fashion();
  }

  test::TemporaryFolder folder_;
  const fs::path cache_ = folder_ / "cache/alma/fashion-mnist";
  HttpServer server_;
  test::ScopedVariable data_{"ALMA_DATA", std::nullopt}, home_{"XDG_CACHE_HOME", folder_ / "cache"};
  test::ScopedVariable mirrors_{"ALMA_MIRRORS", std::nullopt}, no_proxy_{"no_proxy", "127.0.0.1"};
  // The mirrors of the catalogue are not on loopback: a proxy where nobody listens keeps the program from them.
  const std::string nobody_ = HttpServer().url();
  test::ScopedVariable http_proxy_{"http_proxy", nobody_}, https_proxy_{"https_proxy", nobody_};
};

/// Tests of a fetch that succeeds.
class CliFetchFashion : public CliFetch {
 protected:
  void SetUp() override {
    if (!fs::exists(kInstalled)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed; setup.sh does that";
    serve_fashion();
  }
};

TEST_F(CliFetch, Misuse) {
  expect_failure(run({"data", "fetch"}), 2, {"NAME"});
  expect_failure(run({"data", "fetch", "mnits"}), 2, {"mnits", "mnist, fashion-mnist, cifar10"});
  expect_failure(run({"data", "fetch", "mnist", "--mirror", "/folder"}), 2, {"\"/folder\"", "https://"});
  const test::ScopedVariable mirrors("ALMA_MIRRORS", "ftp://host/folder");
  expect_failure(run({"data", "fetch", "mnist"}), 2, {"\"ftp://host/folder\"", "ALMA_MIRRORS"});
  EXPECT_FALSE(fs::exists(folder_ / "cache"));
}

TEST_F(CliFetch, NowhereToPutIt) {
  const test::ScopedVariable cache("XDG_CACHE_HOME", std::nullopt), home("HOME", std::nullopt);
  expect_failure(run({"data", "fetch", "cifar10", "--mirror", server_.url()}), 2, {"XDG_CACHE_HOME"});
  const test::ScopedVariable file("XDG_CACHE_HOME", folder_.write("file", {1}));
  expect_failure(run({"data", "fetch", "cifar10", "--mirror", server_.url()}), 1,
                 {"cannot create the folder", "XDG_CACHE_HOME"});
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(CliFetchFashion, ReplacesWhatIsDamagedAndSaysWhereItIs) {
  const Outcome outcome = run(fetch_fashion());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "fashion-mnist: 4 files in " + cache_.string() + ", verified\n");
  std::string lines;
  for (const std::string& name : kNames) lines += name + ".gz from " + server_.url() + "/fashion/\n";
  EXPECT_EQ(outcome.err, lines);
  expect_fashion();

  const Outcome again = run(fetch_fashion());
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.out, "fashion-mnist: 4 files in " + cache_.string() + ", verified; nothing to fetch\n");
  EXPECT_EQ(server_.requests().size(), 4u);
}

TEST_F(CliFetchFashion, QuietAndWithMirrorsFromTheEnvironment) {
  const test::ScopedVariable mirrors("ALMA_MIRRORS", server_.url() + "/nothing " + server_.url() + "/fashion/");
  const Outcome outcome = run({"data", "fetch", "fashion-mnist", "--quiet"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
  EXPECT_EQ(server_.requests().front().path, "/nothing/" + kNames[0] + ".gz");
  expect_fashion();
}

TEST_F(CliFetchFashion, InterruptedAndContinued) {
  const Outcome outcome = end_in_the_middle(SIGINT);
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("interrupted; alma data fetch fashion-mnist continues from here"), std::string::npos)
      << outcome.err;
  expect_continued();
}

TEST_F(CliFetchFashion, KilledAndContinued) {
  EXPECT_EQ(end_in_the_middle(SIGKILL).code, -SIGKILL);
  expect_continued();
}

TEST_F(CliFetchFashion, TwoProgramsAtOnce) {
  Program first(folder_.path(), fetch_fashion());
  fs::create_directory(folder_ / "other");
  Program second(folder_ / "other", fetch_fashion());
  EXPECT_EQ(first.finish().code, 0);
  EXPECT_EQ(second.finish().code, 0);
  EXPECT_EQ(server_.requests().size(), 4u);
  expect_fashion();
}

TEST_F(CliFetchFashion, WarnsOfADamagedCopyThatComesFirst) {
  fs::create_directory(folder_ / "mine");
  fs::rename(cache_, folder_ / "mine/fashion-mnist");
  const test::ScopedVariable data("ALMA_DATA", folder_ / "mine");
  const Outcome outcome = run(fetch_fashion());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("warning: " + folder_ / "mine/fashion-mnist" + " is searched first"), std::string::npos);
  EXPECT_EQ(read_file(folder_ / "mine/fashion-mnist/" + kNames[0]), (Bytes{1, 2, 3}));  // another's folder
}

class CliFetchRefused : public CliFetch {
 protected:
  void expect_refused(const std::string& file, const std::vector<std::string>& parts) const {
    const std::string set = file == "cifar-10-binary.tar.gz" ? "cifar10" : "mnist";
    const Outcome outcome = run({"data", "fetch", set, "--mirror", server_.url(), "--quiet"});
    expect_failure(outcome, 3, parts);
    EXPECT_NE(outcome.err.find("error: " + set + ": " + file + ": no mirror serves it"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("--mirror URL"), std::string::npos) << outcome.err;
    std::set<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache/alma/" + set)) files.insert(entry.path().filename());
    EXPECT_EQ(files, std::set<std::string>{".lock"});
  }
};

TEST_F(CliFetchRefused, ServersThatDoNotServe) {
  const std::string file = kNames[0] + ".gz";
  expect_refused(file, {server_.url() + "/" + file + ": HTTP status 404", "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/"});
  Reply moved;
  moved.status = 301;
  moved.headers = {"Location: file:///etc/passwd"};
  server_.serve("/" + file, {moved});
  expect_refused(file, {"Protocol \"file\" not supported"});
}

TEST_F(CliFetchRefused, ContentThatIsNotTheDataSet) {
  const std::string file = kNames[0] + ".gz";
  server_.serve("/" + file, test::gzip(test::sample_bytes(1000)));
  expect_refused(file, {"the content differs from the published one"});
  server_.serve("/" + file, test::sample_bytes(1000));
  expect_refused(file, {"the content differs from the published one"});
  Reply huge;
  huge.body = test::sample_bytes(1000);
  huge.declared = std::int64_t{1} << 40;
  server_.serve("/" + file, {huge});
  expect_refused(file, {"announces 1099511627776 bytes"});
}

TEST_F(CliFetchRefused, HostileArchives) {
  const std::string file = "cifar-10-binary.tar.gz";
  using Type = test::TarEntry::Type;
  const std::vector<test::TarEntry> hostile = {{"../escaped", {1}},
                                               {folder_ / "escaped", {1}},
                                               {"door", {}, Type::symbolic_link, folder_.path()},
                                               {"data_batch_1.bin", {}, Type::hard_link, "/etc/passwd"},
                                               {"data_batch_1.bin", Bytes(40 << 20)}};
  for (const test::TarEntry& entry : hostile) {
    server_.serve("/" + file, test::gzip(test::tar({entry, {"door/escaped", {1}}})));
    expect_refused(file, {"the archive is refused: its entry \"" + entry.path + "\""});
    EXPECT_FALSE(fs::exists(folder_ / "escaped"));
    EXPECT_FALSE(fs::exists(folder_ / "cache/alma/escaped"));
  }
}

}  // namespace
}  // namespace alma
