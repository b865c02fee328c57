#include "alma/run/run_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "alma/run/checkpoint.h"
#include "base/files.h"
#include "base/json.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = "config.toml";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kResult = "result.json";
constexpr const char* kLock = "run.lock";
constexpr std::uint64_t kLargestConfig = 64 << 10;  // many times what any has: the parser recurses

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

std::string describe_writer(const fs::path& lock) try {
  const auto json = parse_json(read_plain_file(lock, 4096).value_or(""));
  std::ostringstream text;
  text << "process " << json_integer(json, "pid") << " on host " << json_text(json, "host") << ", started "
       << json_text(json, "start");
  return text.str();
} catch (const Error&) {
  return "another process";
}

// "new/" and "new/." name the folder "new".
fs::path without_end(fs::path path) {
  while (path.has_parent_path() && path != path.parent_path() && (!path.has_filename() || path.filename() == "."))
    path = path.parent_path();
  return path;
}

void remove_empty(const std::vector<fs::path>& folders) {
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) ::rmdir(folder->c_str());
}

// Creates a folder and the missing ones above it; returns those that it has created, the outermost first.
std::vector<fs::path> make_folders(const fs::path& path) {
  std::vector<fs::path> missing, made;
  std::error_code error;
  for (fs::path part = path; !part.empty() && !fs::exists(fs::symlink_status(part, error)); part = part.parent_path())
    missing.push_back(part);
  for (auto part = missing.rbegin(); part != missing.rend(); ++part) {
    if (fs::create_directory(*part, error)) made.push_back(*part);
    if (!error || fs::exists(fs::symlink_status(*part))) continue;  // created by another process meanwhile
    remove_empty(made);
    fail(ErrorKind::usage, "cannot create the run directory ", path.string(), ": ", error.message(),
         "; choose a writable folder with --out");
  }
  return made;
}

// A folder that holds nothing of value: it is empty, or a run was killed in it before it began.
bool is_unbegun(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool empty_records = name == kMetrics && entry->is_regular_file(error) && entry->file_size(error) == 0;
    if (name != kLock && !empty_records && !is_temporary(name)) return false;
  }
  return !error;
}

[[noreturn]] void fail_taken(const fs::path& path) {
  const bool is_run = fs::exists(path / kConfig) && fs::exists(path / kMetrics);
  fail(ErrorKind::usage, "the run directory ", path.string(), " exists already",
       is_run ? "; add --resume to continue it, or choose another --out"
              : " and contains other files; choose another --out, or an empty folder");
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& path, const Config& config, OpenMode mode) : path_(without_end(path)) {
  if (mode == OpenMode::resume) {
    check_resumable(config);
    take_lock();
    open_begun();
    return;
  }
  const fs::path wanted = path_;
  for (int i = 2; !begin(config, mode); ++i) {
    if (mode != OpenMode::create_free) fail_taken(path_);
    path_ = wanted;
    path_ += "-" + std::to_string(i);
  }
}

// Returns false if the name is taken.
bool RunDirectory::begin(const Config& config, OpenMode mode) {
  const std::vector<fs::path> made = make_folders(path_);
  const bool is_new = !made.empty() && made.back() == path_;
  if (!is_new && (mode == OpenMode::create_free || (mode == OpenMode::create && !is_unbegun(path_)))) {
    remove_empty(made);
    return false;
  }
  bool creating = false;
  try {
    take_lock();
    // If several processes want the same folder, the one that has the lock creates the run; a folder without a configuration
    // is what a killed process left.
    const bool begun = fs::exists(path_ / kConfig);
    if (begun && mode != OpenMode::ensure) {
      lock_.reset();
      return false;
    }
    creating = !begun;
    if (creating) {
      create(config);
    } else {
      check_resumable(config);
      open_begun();
    }
    return true;
  } catch (const HasWriter&) {
    lock_.reset();
    if (mode == OpenMode::create_free) return false;
    throw;
  } catch (...) {
    std::error_code ignored;
    if (creating)
      for (const char* name : {kConfig, kMetrics}) fs::remove(path_ / name, ignored);
    if (is_new && lock_) fs::remove(path_ / kLock, ignored);
    remove_empty(made);
    throw;
  }
}

// The configuration is written last: its presence marks a run that has begun.
void RunDirectory::create(const Config& config) {
  for (const auto& entry : fs::directory_iterator(path_))
    if (is_temporary(entry.path())) fs::remove(entry.path());
  open_metrics(O_CREAT);
  config_ = write_config(config);
  write_atomically(path_ / kConfig, config_);
}

void RunDirectory::check_resumable(const Config& config) {
  const Config there = read_run_config(path_);
  config_ = write_config(config);
  if (!fs::exists(path_ / kMetrics) && !fs::exists(path_ / kLock) && !fs::exists(checkpoint_folder()))
    fail(ErrorKind::usage, path_.string(), " is not a run directory: it has a config.toml, but no metrics.jsonl",
         "; expected a folder made by `alma run`");
  const auto found = differences(there, config);
  if (found.empty()) return;
  std::ostringstream text;
  text << "cannot resume " << path_.string() << " with another configuration:";
  for (const auto& [key, in_folder, given] : found)
    text << "\n  " << key << " is " << in_folder << " in its config.toml, " << given << " was given";
  text << "\nresume with the same configuration (leave out CONFIG and --set), or choose another --out";
  fail(ErrorKind::usage, text.str());
}

void RunDirectory::take_lock() {
  const fs::path path = path_ / kLock;
  try {
    lock_.emplace(path);
  } catch (const Error& error) {
    fail(ErrorKind::usage, "cannot write to the run directory ", path_.string(), ": ", error.what(),
         "; expected a writable folder");
  }
  const FileLock::State state = lock_->take();
  if (state == FileLock::State::busy)
    throw HasWriter(ErrorKind::usage, "the run directory " + path_.string() + " is in use by " + describe_writer(path) +
                                          "; wait for it to end, or choose another --out");
  if (state == FileLock::State::unsupported)
    warning_ = "the file system of " + path_.string() +
               " does not support locks: make sure that no other process works on this run";
  lock_->write(this_writer());
}

void RunDirectory::open_metrics(int flags) {
  metrics_.emplace(path_ / kMetrics, O_RDWR | O_APPEND | O_NOFOLLOW | flags);
  const std::string text = read_plain_file(path_ / kMetrics).value_or("");
  metrics_bytes_ = text.size();
  metrics_sum_ = std::make_unique<Sha256>();
  metrics_sum_->add(text);
}

// A run that was killed before its first record has no metrics.jsonl; that is no loss.
void RunDirectory::open_begun() {
  const fs::path path = path_ / kMetrics;
  const bool missing = !fs::exists(path);
  if (missing && (fs::exists(checkpoint_folder()) || fs::exists(path_ / kResult)))
    fail(ErrorKind::data, path.string(),
         " is missing, although the run has a checkpoint; restore it, or start again with another --out");
  open_metrics(missing ? O_CREAT : 0);
}

// Records, checkpoint and result must stay in one folder.
void RunDirectory::require_records_here() const {
  struct stat here {
  }, open{};
  const std::string path = (path_ / kMetrics).string();
  if (::stat(path.c_str(), &here) != 0 || ::fstat(metrics_->descriptor(), &open) != 0 || here.st_ino != open.st_ino ||
      here.st_dev != open.st_dev)
    fail("the run directory ", path_.string(),
         " is no longer the one that this run writes: it was moved, removed or replaced",
         "; put it back, then continue with: alma run --resume --out ", path_.string());
  if (metrics_->size() != metrics_bytes_)
    fail(path.c_str(), " has ", metrics_->size(), " bytes, this run has written ", metrics_bytes_,
         ": another program has changed it; restore the file, or start again with another --out");
}

void RunDirectory::write_result(nlohmann::ordered_json result) {
  result["metrics_sha256"] = mark().metrics_sha256;
  write_atomically(path_ / kResult, result.dump(2) + "\n");
}

RunMark RunDirectory::mark() {
  require_records_here();
  metrics_->sync();
  return {metrics_bytes_, metrics_sum_->hex(), config_};
}

void RunDirectory::append(const MegaBatchRecord& record) {
  const std::string line = to_json_line(record) + "\n";
  try {
    metrics_->write(line);
  } catch (const Error& error) {
    const bool restored = ::ftruncate(metrics_->descriptor(), static_cast<off_t>(metrics_bytes_)) == 0;
    fail(error.what(), restored ? "" : " (its last line is incomplete)", "; continue with: alma run --resume --out ",
         path_.string());
  }
  metrics_bytes_ += line.size();
  metrics_sum_->add(line);
}

void RunDirectory::require(const RunMark& mark) const {
  const fs::path path = path_ / kMetrics;
  std::string found;
  const std::string text = read_plain_file(path).value_or("");
  if (text.size() < mark.metrics_bytes) {
    found = "\n  " + path.string() + " has " + std::to_string(text.size()) + " bytes, the checkpoint expects " +
            std::to_string(mark.metrics_bytes);
  } else if (!mark.metrics_sha256.empty()) {
    const std::string sum = sha256(std::string_view(text).substr(0, mark.metrics_bytes));
    if (sum != mark.metrics_sha256)
      found = "\n  " + path.string() + " was changed: its first " + std::to_string(mark.metrics_bytes) +
              " bytes have SHA-256 " + sum + ", the checkpoint expects " + mark.metrics_sha256;
  }
  const ErrorKind kind = found.empty() ? ErrorKind::usage : ErrorKind::data;
  for (const std::string& change : config_changes(mark, path_)) found += "\n  " + change;
  if (!found.empty())
    fail(kind, path_.string(), " has changed since its checkpoint was saved:", found,
         "\nrestore the files, or start again with another --out");
}

std::vector<MegaBatchRecord> RunDirectory::go_back_to(const RunMark& mark) {
  require(mark);
  const std::string text = read_plain_file(path_ / kMetrics).value_or("").substr(0, mark.metrics_bytes);
  std::vector<MegaBatchRecord> records = parse_metrics(text, path_ / kMetrics);
  for (std::size_t i = 0; i < records.size(); ++i)
    if (records[i].t != static_cast<std::int64_t>(i) + 1)
      fail(ErrorKind::data, (path_ / kMetrics).string(), ":", i + 1, ": t is ", records[i].t, ", expected ", i + 1,
           "; restore the file, or start again with another --out");
  cut(mark.metrics_bytes);
  metrics_sum_->add(text);
  return records;
}

void RunDirectory::start_over() {
  if (fs::exists(path_ / kResult))
    fail(ErrorKind::data, path_.string(), " holds the result of a run, but no checkpoint; its records are left unchanged",
         "; restore the checkpoint, or start again with another --out");
  cut(0);
}

void RunDirectory::cut(std::uint64_t bytes) {
  if (metrics_->size() != bytes) metrics_->truncate(bytes);
  metrics_bytes_ = bytes;
  metrics_sum_ = std::make_unique<Sha256>();
}

std::vector<MegaBatchRecord> parse_metrics(const std::string& text, const fs::path& path) {
  std::vector<MegaBatchRecord> records;
  std::istringstream lines(text);
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

std::vector<MegaBatchRecord> read_metrics(const fs::path& run_directory) {
  const fs::path path = run_directory / kMetrics;
  const auto text = read_plain_file(path);
  if (!text) fail(ErrorKind::data, "cannot read ", path.string(), ": ", system_error_text(ENOENT));
  return parse_metrics(*text, path);
}

std::vector<std::string> config_changes(const RunMark& mark, const fs::path& run_directory) {
  std::vector<std::string> changes;
  if (mark.config.empty()) return changes;
  const Config saved = parse_config(mark.config, "the checkpoint");
  for (const auto& [key, before, now] : differences(saved, read_run_config(run_directory)))
    if (key != "train.checkpoint_seconds")  // no number depends on it
      changes.push_back((run_directory / kConfig).string() + " was changed: " + key + " was " + before + ", is " + now);
  return changes;
}

Config read_run_config(const fs::path& run_directory) {
  const fs::path path = run_directory / kConfig;
  const auto text = read_plain_file(path, kLargestConfig);
  if (!text)
    fail(ErrorKind::usage, run_directory.string(), " is not a run directory: it has no config.toml",
         "; expected a folder made by `alma run` (to start a run, leave out --resume and name a new or empty folder)");
  return parse_config(*text, path.string());
}

}  // namespace alma
