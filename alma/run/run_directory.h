#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "alma/run/checkpoint.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/file_lock.h"

namespace alma {

/// How a run gets its folder.
enum class OpenMode {
  create,       // a new or empty folder, or one in which a run was killed before it began; any other is an error
  create_free,  // a new folder; adds -2, -3, ... to a name that is taken
  resume,       // the folder of a run with the same configuration
  ensure,       // resume if the run has begun, else create
};

/// The run directory is another process's at the moment.
class __attribute__((visibility("default"))) HasWriter : public Error {
 public:
  using Error::Error;
};

/// The folder of a run and its one writer: config.toml, metrics.jsonl, result.json, run.lock (design.md, section 4). Open it
/// when all else that can fail has been checked, so that wrong usage leaves no folder behind.
class RunDirectory {
 public:
  /// Throws Error(ErrorKind::usage): the folder exists (create), is no run directory, belongs to another configuration
  /// (resume; the differing keys are listed), cannot be written, or has a writer already (HasWriter). What it has made until
  /// then is removed again.
  RunDirectory(const std::filesystem::path& path, const Config& config, OpenMode mode);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Where CheckpointStore works.
  std::filesystem::path checkpoint_folder() const { return path_ / "checkpoint"; }
  /// What the user should know, if not empty: that the file system keeps no second writer out.
  const std::string& warning() const { return warning_; }

  /// Written atomically, with the SHA-256 of the records; doubles in it must be finite. Throws Error like mark().
  void write_result(nlohmann::ordered_json result);

  /// Appends one whole line to metrics.jsonl or, if the disk is full, none of it, and throws Error.
  void append(const MegaBatchRecord& record);
  /// What a checkpoint counts on: the records that were appended, which are on the disk on return. Throws Error (failed) if
  /// they are no longer in the folder: it was moved away, or another program has changed the file.
  RunMark mark();
  /// Throws Error naming each disagreement between the folder and what a checkpoint counts on: metrics.jsonl is shorter or
  /// has other bytes (data), config.toml says something else (usage).
  void require(const RunMark& mark) const;
  /// require(), then goes back: cuts records of later than the checkpoint. Returns those that stay.
  std::vector<MegaBatchRecord> go_back_to(const RunMark& mark);
  /// Removes the records of a run that was killed before its first checkpoint. Throws Error(ErrorKind::data) if there is a
  /// result: then the checkpoint was lost, and the records are all that is left.
  void start_over();

 private:
  bool begin(const Config& config, OpenMode mode);
  void create(const Config& config);
  void check_resumable(const Config& config);
  void take_lock();
  void open_begun();
  void open_metrics(int flags);
  void cut(std::uint64_t bytes);
  void require_records_here() const;

  std::filesystem::path path_;
  std::string config_, warning_;
  std::optional<FileLock> lock_;
  std::optional<File> metrics_;
  std::uint64_t metrics_bytes_ = 0;
  std::unique_ptr<Sha256> metrics_sum_;  // of what it holds
};

/// The records in the text of a metrics.jsonl, in order. Throws Error(ErrorKind::data) naming a damaged line.
std::vector<MegaBatchRecord> parse_metrics(const std::string& text, const std::filesystem::path& path);
/// All of a run directory's, likewise.
std::vector<MegaBatchRecord> read_metrics(const std::filesystem::path& run_directory);

/// What config.toml says now and did not when a checkpoint was saved, a text for each key: "runs/x/config.toml was changed:
/// train.lr was 1.0, is 0.1". Nothing for a checkpoint of a version before.
std::vector<std::string> config_changes(const RunMark& mark, const std::filesystem::path& run_directory);

/// The configuration of an existing run directory. Throws Error(ErrorKind::usage) if it is none.
Config read_run_config(const std::filesystem::path& run_directory);

}  // namespace alma
