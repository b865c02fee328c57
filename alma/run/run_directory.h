#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/file_lock.h"

namespace alma {

struct RunMark;

/// The ways in which a run opens its folder.
enum class OpenMode {
  create,       // a new or empty folder, or one whose run was killed before it began; any other folder is an error
  create_free,  // a new folder; adds -2, -3, ... to a name that exists
  resume,       // the folder of a run with the same configuration
  ensure,       // resume if the run has begun, else create
};

/// The run directory is in use by another process.
class __attribute__((visibility("default"))) HasWriter : public Error {
 public:
  using Error::Error;
};

/// The folder of a run and its single writer: config.toml, metrics.jsonl, result.json, run.lock. Open it after everything
/// else that can fail has been checked, so that wrong usage leaves no folder behind.
class RunDirectory {
 public:
  /// Throws Error(ErrorKind::usage) if the folder exists (create), is not a run directory, belongs to another configuration
  /// (resume; the differing keys are listed), cannot be written, or has a writer already (HasWriter). Files and folders that
  /// were created until then are removed.
  RunDirectory(const std::filesystem::path& path, const Config& config, OpenMode mode);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The folder for CheckpointStore.
  std::filesystem::path checkpoint_folder() const { return path_ / "checkpoint"; }
  /// A warning for the user, if not empty: the file system does not keep a second writer out.
  const std::string& warning() const { return warning_; }

  /// Writes result.json atomically, with the SHA-256 of the records; doubles in it must be finite. Throws Error like mark().
  void write_result(nlohmann::ordered_json result);

  /// Appends one complete line to metrics.jsonl. If the disk is full, appends nothing and throws Error.
  void append(const MegaBatchRecord& record);
  /// The state that a checkpoint relies on: the appended records, which are on the disk on return. Throws Error (failed) if
  /// they are no longer in the folder because it was moved away or another program has changed the file.
  RunMark mark();
  /// Throws Error that names each difference between the folder and a checkpoint's mark: metrics.jsonl is shorter or has
  /// other bytes (data), config.toml has other values (usage).
  void require(const RunMark& mark) const;
  /// require(), then removes the records that are later than the checkpoint. Returns the others.
  std::vector<MegaBatchRecord> go_back_to(const RunMark& mark);
  /// Removes the records of a run that was killed before its first checkpoint. Throws Error(ErrorKind::data) if there is a
  /// result: the checkpoint was lost then, and only the records are left.
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
  std::unique_ptr<Sha256> metrics_sum_;  // of the content of metrics.jsonl
};

/// The records in the text of a metrics.jsonl, in order. Throws Error(ErrorKind::data) naming a damaged line.
std::vector<MegaBatchRecord> parse_metrics(const std::string& text, const std::filesystem::path& path);
/// The records of a run directory, likewise.
std::vector<MegaBatchRecord> read_metrics(const std::filesystem::path& run_directory);

/// The differences between config.toml now and when the checkpoint was saved, one text for each key: "runs/x/config.toml was
/// changed: train.lr was 1.0, is 0.1". Empty for a checkpoint of an earlier version.
std::vector<std::string> config_changes(const RunMark& mark, const std::filesystem::path& run_directory);

/// The configuration of an existing run directory. Throws Error(ErrorKind::usage) if it is not a run directory.
Config read_run_config(const std::filesystem::path& run_directory);

}  // namespace alma
