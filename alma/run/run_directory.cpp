#include "alma/run/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "config.toml";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kResult = "result.json";
constexpr const char* kLock = "run.lock";

std::string this_writer() {
  char host[256] = "?";
  ::gethostname(host, sizeof host - 1);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char start[32];
  std::strftime(start, sizeof start, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return nlohmann::ordered_json{{"host", host}, {"pid", ::getpid()}, {"start", start}}.dump() + "\n";
}

std::string describe_writer(const fs::path& lock) {
  const auto json = nlohmann::json::parse(read_text(lock).value_or(""), nullptr, false);
  if (!json.is_object()) return "another process";
  std::ostringstream text;
  text << "process " << json.value("pid", 0) << " on host " << json.value("host", "?") << ", started "
       << json.value("start", "?");
  return text.str();
}

// True if the folder is new; false if something of that name is there.
bool make_folder(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (!error && fs::create_directory(path, error)) return true;
  std::error_code ignored;  // a file of that name is an error to create_directory, a folder is not
  if (!error || fs::exists(fs::symlink_status(path, ignored))) return false;
  fail(ErrorKind::usage, "cannot make the run directory ", path.string(), ": ", error.message(),
       "; expected a folder that can be written, choose another --out");
}

fs::path free_path(const fs::path& path) {
  for (int i = 2;; ++i) {
    fs::path candidate = path;
    candidate += "-";
    candidate += std::to_string(i);
    if (make_folder(candidate)) return candidate;
  }
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& path, const Config& config, OpenMode mode) : path_(path) {
  bool made = false;
  if (mode == OpenMode::resume) {
    check_resumable(config);
  } else {
    made = make_folder(path_);
    if (!made && mode == OpenMode::create)
      fail(ErrorKind::usage, "the run directory ", path.string(),
           " exists already; add --resume to go on with it, or choose another --out");
    if (!made && mode == OpenMode::create_free) path_ = free_path(path), made = true;
  }
  try {
    take_lock();
    // Of processes that ensure a run together, the one with the lock creates it; a folder without configuration is left of
    // one that was killed before.
    const bool begun = mode == OpenMode::ensure && fs::exists(path_ / kConfig);
    if (begun) check_resumable(config);
    if (mode != OpenMode::resume && !begun) create(config);
    open_metrics();
  } catch (...) {
    const bool mine = lock_ >= 0;
    if (mine) ::close(lock_);
    if (metrics_ >= 0) ::close(metrics_);
    std::error_code ignored;
    if (made && mine) fs::remove_all(path_, ignored);
    throw;
  }
}

RunDirectory::~RunDirectory() {
  ::close(metrics_);
  ::close(lock_);  // lets the lock go; the file stays, since removing it could take a new writer's lock away
}

void RunDirectory::create(const Config& config) { write_atomically(path_ / kConfig, write_config(config)); }

void RunDirectory::check_resumable(const Config& config) const {
  const auto found = differences(read_run_config(path_), config);
  if (found.empty()) return;
  std::ostringstream text;
  text << "cannot resume " << path_.string() << " with another configuration:";
  for (const auto& [key, in_folder, given] : found)
    text << "\n  " << key << " is " << in_folder << " there, " << given << " was given";
  text << "\nresume with the same configuration (leave CONFIG and --set out), or choose another --out";
  fail(ErrorKind::usage, text.str());
}

void RunDirectory::take_lock() {
  const fs::path path = path_ / kLock;
  lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    fail(ErrorKind::usage, "cannot write in the run directory ", path_.string(), ": ", system_error_text(errno),
         "; expected a folder that can be written");
  // The kernel lets go of the lock when its process ends in whatever way, so a file left behind is no obstacle.
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(std::exchange(lock_, -1));
    if (error == EWOULDBLOCK)
      throw HasWriter(ErrorKind::usage, "the run directory " + path_.string() + " has a writer: " + describe_writer(path) +
                                            "; wait until it has ended, or choose another --out");
    fail("cannot lock ", path.string(), ": ", system_error_text(error));
  }
  const std::string writer = this_writer();
  if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, writer.data(), writer.size(), 0) != static_cast<ssize_t>(writer.size()))
    fail("cannot write ", path.string(), ": ", system_error_text(errno));
}

void RunDirectory::open_metrics() {
  const fs::path path = path_ / kMetrics;
  metrics_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (metrics_ < 0) fail("cannot open ", path.string(), ": ", system_error_text(errno));
  // A machine that lost power may have left part of a line.
  const std::string text = read_text(path).value_or("");
  const std::size_t end = text.rfind('\n');
  metrics_bytes_ = text.size();
  truncate_metrics(end == std::string::npos ? 0 : end + 1);
}

void RunDirectory::write_result(const nlohmann::ordered_json& result) {
  write_atomically(path_ / kResult, result.dump(2) + "\n");
}

void RunDirectory::append(const MegaBatchRecord& record) {
  const std::string line = to_json_line(record) + "\n";
  ssize_t done;
  do done = ::write(metrics_, line.data(), line.size());
  while (done < 0 && errno == EINTR);
  if (done == static_cast<ssize_t>(line.size())) {
    metrics_bytes_ += line.size();
    return;
  }
  const int error = done < 0 ? errno : ENOSPC;
  const bool restored = ::ftruncate(metrics_, static_cast<off_t>(metrics_bytes_)) == 0;
  fail("cannot write ", (path_ / kMetrics).string(), ": ", system_error_text(error),
       restored ? "" : " (its last line is cut)", "; make room, then go on with: alma run --resume --out ", path_.string());
}

void RunDirectory::truncate_metrics(std::uint64_t bytes) {
  const fs::path path = path_ / kMetrics;
  if (bytes > metrics_bytes_)
    fail(ErrorKind::data, path.string(), " has ", metrics_bytes_, " bytes, the checkpoint counts on ", bytes,
         "; restore the file, or start again with another --out");
  if (bytes == metrics_bytes_) return;
  if (::ftruncate(metrics_, static_cast<off_t>(bytes)) != 0)
    fail("cannot truncate ", path.string(), ": ", system_error_text(errno));
  metrics_bytes_ = bytes;
}

std::vector<MegaBatchRecord> read_metrics(const fs::path& run_directory) {
  const fs::path path = run_directory / kMetrics;
  const auto text = read_text(path);
  if (!text) fail(ErrorKind::data, "cannot read ", path.string(), ": ", system_error_text(errno));
  std::vector<MegaBatchRecord> records;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    try {
      records.push_back(record_from_json(line));
    } catch (const Error& error) {
      fail(ErrorKind::data, path.string(), ":", records.size() + 1, ": ", error.what(),
           "; restore the file, or start again with another --out");
    }
  }
  return records;
}

void RunDirectory::sync_metrics() {
  if (::fsync(metrics_) != 0)
    fail("cannot write ", (path_ / kMetrics).string(), ": ", system_error_text(errno),
         "; make room, then go on with: alma run --resume --out ", path_.string());
}

bool is_finished(const fs::path& run_directory) { return fs::exists(run_directory / kResult); }

Config read_run_config(const fs::path& run_directory) {
  const fs::path path = run_directory / kConfig;
  const auto text = read_text(path);
  if (!text)
    fail(ErrorKind::usage, run_directory.string(), " is no run directory: cannot read ", path.string(), ": ",
         system_error_text(errno), "; expected a folder made by `alma run`");
  return parse_config(*text, path.string());
}

}  // namespace alma
