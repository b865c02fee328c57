#include "data/download.h"

#include <algorithm>
#include <filesystem>

#include "data/file.h"
#include "tests/data/files.h"
#include "tests/data/http_server.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

Reply reply(const Bytes& body) {
  Reply good;
  good.body = body;
  return good;
}

Reply breaks_off(const Bytes& body, std::int64_t after) {
  Reply broken = reply(body);
  broken.send = after;
  return broken;
}

Reply status(int code) {
  Reply error = reply({'n', 'o'});
  error.status = code;
  return error;
}

Reply redirect(const std::string& to) {
  Reply moved = status(302);
  moved.headers = {"Location: " + to};
  return moved;
}

/// Downloads a content that is known, from servers on loopback.
class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    patience_.connect_seconds = 60;  // a busy machine must not be taken for a silent server
    patience_.stall_seconds = 60;
    patience_.attempts = 3;
    patience_.pause_seconds = 0.01;
    watch_.say = [&](const std::string& line) { said_.push_back(line); };
  }

  std::string url(const std::string& path = "/file") const { return server_.url() + path; }

  std::optional<std::size_t> get(const std::vector<std::string>& urls) {
    PartFile part(folder_ / "file", PartFile::Unfinished::keep);
    Download wanted{"file", urls, static_cast<std::int64_t>(content_.size()) + 1000, {}};
    wanted.accept = [&] {
      ++judged_;
      if (read_file(part.path().string()) != content_) fail(ErrorKind::data, "not the content that was expected");
    };
    const auto from = download(wanted, part, patience_, watch_);
    if (from) part.publish();
    return from;
  }

  void expect_refused(const std::vector<std::string>& parts, const std::vector<std::string>& urls) {
    expect_error(ErrorKind::data, parts, [&] { get(urls); });
    EXPECT_FALSE(fs::exists(folder_ / "file"));
  }
  void expect_here() const {
    EXPECT_TRUE(read_file(folder_ / "file") == content_);
    EXPECT_FALSE(fs::exists(folder_ / "file.part"));
  }
  std::vector<std::string> ranges() const {
    std::vector<std::string> all;
    for (const HttpServer::Request& request : server_.requests()) all.push_back(request.range);
    return all;
  }
  /// What an earlier process left.
  void leave_part(const Bytes& bytes) const { folder_.write("file.part", bytes); }

  const Bytes content_ = sample_bytes(300000);
  TemporaryFolder folder_;
  ScopedVariable no_proxy_{"no_proxy", "127.0.0.1"};
  HttpServer server_;
  DownloadPatience patience_;
  TransferWatch watch_;
  std::vector<std::string> said_;
  int judged_ = 0;
};

TEST_F(DownloadTest, AGoodServerIsAskedOnce) {
  server_.serve("/file", content_);
  std::int64_t last = 0;
  watch_.progress = [&](const std::string& file, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(file, "file");
    EXPECT_EQ(total, 300000);
    EXPECT_GT(done, last);
    last = done;
  };
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(last, 300000);
  EXPECT_EQ(ranges(), std::vector<std::string>{""});
  EXPECT_TRUE(said_.empty());
  expect_here();
}

TEST_F(DownloadTest, WithoutALengthAndWithAnEncodingThatIsNotUndone) {
  Reply open_end = reply(content_);
  open_end.length = false;
  open_end.headers = {"Content-Encoding: gzip"};  // what a server says about a .gz file; it stays as it is
  server_.serve("/file", {open_end});
  EXPECT_EQ(get({url()}), 0u);
  expect_here();
}

TEST_F(DownloadTest, GoesOnWhereItBrokeOff) {
  server_.serve("/file", {breaks_off(content_, 100000), breaks_off(content_, 50000), reply(content_)});
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "bytes=100000-", "bytes=150000-"}));
  EXPECT_EQ(judged_, 1);
  expect_here();
}

TEST_F(DownloadTest, GoesOnAtTheNextMirror) {
  HttpServer second;
  server_.serve("/file", {breaks_off(content_, 100000), status(404)});
  second.serve("/file", content_);
  EXPECT_EQ(get({url(), second.url() + "/file"}), 1u);
  EXPECT_EQ(second.requests().front().range, "bytes=100000-");
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_NE(said_.front().find("; trying again in "), std::string::npos) << said_.front();
  EXPECT_NE(said_.front().find("(attempt 2 of "), std::string::npos) << said_.front();
  EXPECT_EQ(said_.back(), url() + ": HTTP status 404; trying the next mirror");
  expect_here();
}

TEST_F(DownloadTest, AServerWithoutRangesSendsAllOfItAgain) {
  Reply whole = reply(content_);
  whole.ranges = false;
  server_.serve("/file", {breaks_off(content_, 100000), whole});
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "bytes=100000-"}));
  expect_here();
}

TEST_F(DownloadTest, PiecesOfTwoVersionsAreCaughtAndFetchedAsAWhole) {
  leave_part(sample_bytes(100000, 7));
  server_.serve("/file", content_);
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=100000-", ""}));
  EXPECT_EQ(judged_, 2);
  expect_here();
}

TEST_F(DownloadTest, AWholePartFileIsTakenAndOneThatIsTooLongIsNot) {
  leave_part(content_);  // killed between the last byte and the check
  server_.serve("/file", content_);
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), std::vector<std::string>{"bytes=300000-"});
  expect_here();
  fs::remove(folder_ / "file");
  leave_part(join(content_, {1}));
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=300000-", "bytes=300001-", ""}));
  expect_here();
}

TEST_F(DownloadTest, AnotherRangeThanTheOneAskedForIsNotTaken) {
  Reply shifted = reply(content_);
  shifted.range_shift = 1000;
  server_.serve("/file", {breaks_off(content_, 100000), shifted});
  EXPECT_EQ(get({url()}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "bytes=100000-", ""}));
  expect_here();
}

TEST_F(DownloadTest, ASlowServerIsWaitedForAStalledOneIsNot) {
  Reply slow = reply(content_);
  slow.bytes_per_second = 200000;
  server_.serve("/slow", {slow});
  EXPECT_EQ(get({url("/slow")}), 0u);
  expect_here();
  fs::remove(folder_ / "file");

  patience_.stall_seconds = 2;
  Reply stalled = breaks_off(content_, 40);
  stalled.stall = true;
  server_.serve("/stalled", {stalled, reply(content_)});
  EXPECT_EQ(get({url("/stalled")}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", "", "bytes=40-"}));
  expect_here();
  fs::remove(folder_ / "file");

  server_.serve("/silent", {stalled});
  patience_.attempts = 2;
  expect_refused({"/silent: Operation too slow", "(2 attempts)"}, {url("/silent")});
}

TEST_F(DownloadTest, NoSilenceIsLeftWithoutAWord) {
  Reply silent = reply(content_);
  silent.send = 0;
  silent.stall = true;
  server_.serve("/silent", {silent});
  patience_.stall_seconds = 4;
  patience_.quiet_seconds = 1;
  patience_.attempts = 2;
  expect_refused({"/silent: Operation too slow", "(2 attempts)"}, {url("/silent")});
  ASSERT_EQ(said_.size(), 3u);  // of the first attempt, the pause, the second attempt
  for (const std::size_t attempt : {std::size_t{0}, std::size_t{2}})
    EXPECT_EQ(said_[attempt], "file: no data from the server for 1 s; giving up after 4 s");
  EXPECT_NE(said_[1].find("trying again in 0.01 s (attempt 2 of 2)"), std::string::npos) << said_[1];
}

TEST_F(DownloadTest, AServerThatAlwaysBreaksOffIsGivenUp) {
  server_.serve("/file", {breaks_off(content_, 10)});
  expect_refused({"file: no mirror serves it", url() + ": ", "(3 attempts)"}, {url()});
  EXPECT_EQ(ranges().size(), 3u);
  EXPECT_EQ(fs::file_size(folder_ / "file.part"), 30u);  // for the next time
}

TEST_F(DownloadTest, ProgressIsNoFailure) {
  const Bytes large = sample_bytes(6 << 20);
  PartFile part(folder_ / "large", PartFile::Unfinished::remove);
  server_.serve("/large", {breaks_off(large, 1 << 20)});  // six pieces, with patience for three failures
  const Download wanted{"large", {url("/large")}, 6 << 20, [] {}};
  EXPECT_EQ(download(wanted, part, patience_, watch_), 0u);
  EXPECT_TRUE(read_file(part.path()) == large);
}

TEST_F(DownloadTest, StatusCodes) {
  server_.serve("/file", {status(503), status(500), reply(content_)});
  EXPECT_EQ(get({url()}), 0u);
  expect_here();
  fs::remove(folder_ / "file");
  server_.serve("/busy", {status(503)});
  server_.serve("/forbidden", {status(403)});
  server_.serve("/empty", {reply({})});
  expect_refused({url("/busy") + ": HTTP status 503 (3 attempts)", url("/forbidden") + ": HTTP status 403",
                  url("/nowhere") + ": HTTP status 404", url("/empty") + ": ", "empty file"},
                 {url("/busy"), url("/forbidden"), url("/nowhere"), url("/empty")});
  EXPECT_FALSE(fs::exists(folder_ / "file.part"));
}

TEST_F(DownloadTest, ErrorPagesDoNotHarmWhatIsThere) {
  leave_part(first_bytes(content_, 1000));
  server_.serve("/file", {status(500)});
  expect_refused({"500"}, {url(), url("/nowhere")});
  EXPECT_TRUE(read_file(folder_ / "file.part") == first_bytes(content_, 1000));
}

TEST_F(DownloadTest, Redirects) {
  server_.serve("/file", content_);
  server_.serve("/moved", {redirect("/moved-again")});
  server_.serve("/moved-again", {redirect(url())});
  EXPECT_EQ(get({url("/moved")}), 0u);
  expect_here();
  fs::remove(folder_ / "file");

  folder_.write("secret", content_);
  server_.serve("/round", {redirect("/round")});
  server_.serve("/local", {redirect("file://" + folder_ / "secret")});
  server_.serve("/ftp", {redirect("ftp://127.0.0.1/secret")});
  server_.serve("/nowhere-to", {status(302)});
  expect_refused({"/round: Maximum (10) redirects followed", "/local: Protocol \"file\" not supported",
                  "/ftp: Protocol \"ftp\" not supported", "/nowhere-to: HTTP status 302"},
                 {url("/round"), url("/local"), url("/ftp"), url("/nowhere-to")});
  EXPECT_EQ(server_.requests().size(), 3 + 11 + 1 + 1 + 1u);
}

TEST_F(DownloadTest, RangesAreAskedForBehindRedirectsToo) {
  leave_part(first_bytes(content_, 1000));
  server_.serve("/file", content_);
  server_.serve("/moved", {redirect(url())});
  EXPECT_EQ(get({url("/moved")}), 0u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"bytes=1000-", "bytes=1000-"}));
  expect_here();
}

TEST_F(DownloadTest, DamagedContentIsRefusedAndTheNextMirrorTried) {
  Bytes damaged = content_;
  damaged[200000] ^= 1;
  server_.serve("/damaged", damaged);
  server_.serve("/file", content_);
  EXPECT_EQ(get({url("/damaged"), url()}), 1u);
  EXPECT_EQ(ranges(), (std::vector<std::string>{"", ""}));  // nothing of the first is used
  expect_here();
  fs::remove(folder_ / "file");
  expect_refused({"/damaged: not the content that was expected"}, {url("/damaged")});
  EXPECT_FALSE(fs::exists(folder_ / "file.part"));
}

TEST_F(DownloadTest, TooMuchIsRefusedAsSoonAsItShows) {
  Reply endless = reply(content_);
  endless.length = false;
  endless.endless = true;
  server_.serve("/endless", {endless});
  Reply boast = breaks_off(content_, 100);
  boast.declared = std::int64_t{1} << 40;
  boast.stall = true;
  server_.serve("/boast", {boast});
  watch_.progress = [](const std::string&, std::int64_t done, std::int64_t) { EXPECT_LE(done, 301000); };
  expect_refused({"/endless: sends too many bytes, expected at most 301000",
                  "/boast: announces 1099511627776 bytes, expected at most 301000"},
                 {url("/endless"), url("/boast")});
  EXPECT_EQ(ranges().size(), 2u);
  EXPECT_EQ(judged_, 0);
  EXPECT_FALSE(fs::exists(folder_ / "file.part"));

  Reply longer = reply(join(content_, content_));  // than declared: the rest is not read
  longer.declared = 300000;
  server_.serve("/longer", {longer});
  EXPECT_EQ(get({url("/longer")}), 0u);
  expect_here();
}

TEST_F(DownloadTest, AnAnnouncementThatIsRefusedLeavesWhatIsThere) {
  leave_part(first_bytes(content_, 1000));
  Reply boast = reply(content_);
  boast.ranges = false;
  boast.declared = std::int64_t{1} << 40;
  server_.serve("/boast", {boast});
  server_.serve("/file", content_);
  EXPECT_EQ(get({url("/boast"), url()}), 1u);
  EXPECT_EQ(ranges().back(), "bytes=1000-");
  expect_here();
}

TEST_F(DownloadTest, NobodyListens) {
  std::string closed;
  { closed = HttpServer().url(); }
  expect_refused({closed + "/file: Failed to connect"}, {closed + "/file"});
}

TEST_F(DownloadTest, StopKeepsWhatHasArrived) {
  Reply stalled = breaks_off(content_, 1000);
  stalled.stall = true;
  server_.serve("/file", {stalled});
  std::int64_t arrived = 0;
  watch_.progress = [&](const std::string&, std::int64_t done, std::int64_t) { arrived = done; };
  watch_.stop = [&] { return arrived >= 1000; };
  EXPECT_EQ(get({url()}), std::nullopt);
  EXPECT_EQ(fs::file_size(folder_ / "file.part"), 1000u);

  server_.serve("/busy", {status(503)});
  patience_.pause_seconds = 60;
  arrived = 0;
  watch_.stop = [&] { return server_.requests().size() >= 2; };  // in the pause
  EXPECT_EQ(get({url("/busy")}), std::nullopt);
}

TEST_F(DownloadTest, AFailingDiskIsNotTheMirrorsFault) {
  server_.serve("/file", content_);
  PartFile part(folder_ / "file", PartFile::Unfinished::remove);
  const Download wanted{"file", {url(), url()}, 300000, [] { fail("cannot write: No space left on device"); }};
  expect_error(ErrorKind::failed, {"No space left on device"}, [&] { download(wanted, part, patience_, watch_); });
  EXPECT_EQ(server_.requests().size(), 1u);
}

}  // namespace
}  // namespace alma::test
