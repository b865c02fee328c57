#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "base/error.h"

namespace alma {

/// How a run gets its folder.
enum class OpenMode {
  create,       // a new folder; one that exists is an error
  create_free,  // the same, but adds -2, -3, ... to a name that is taken
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
  /// (resume; the differing keys are listed), cannot be written, or has a writer already (HasWriter).
  RunDirectory(const std::filesystem::path& path, const Config& config, OpenMode mode);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Where CheckpointStore works.
  std::filesystem::path checkpoint_folder() const { return path_ / "checkpoint"; }

  /// Written atomically; doubles in it must be finite.
  void write_result(const nlohmann::ordered_json& result);

  /// Appends one whole line to metrics.jsonl or, if the disk is full, none of it, and throws Error.
  void append(const MegaBatchRecord& record);
  /// Length of metrics.jsonl, for the checkpoint.
  std::uint64_t metrics_bytes() const { return metrics_bytes_; }
  /// Goes back to what a checkpoint knows of. Throws Error(ErrorKind::data) if the file is shorter.
  void truncate_metrics(std::uint64_t bytes);
  /// Waits until metrics.jsonl is on the disk: before a checkpoint that counts on it.
  void sync_metrics();

 private:
  void create(const Config& config);
  void check_resumable(const Config& config) const;
  void take_lock();
  void open_metrics();

  std::filesystem::path path_;
  int lock_ = -1, metrics_ = -1;
  std::uint64_t metrics_bytes_ = 0;
};

/// All lines of its metrics.jsonl, in order. Throws Error(ErrorKind::data) naming a damaged line.
std::vector<MegaBatchRecord> read_metrics(const std::filesystem::path& run_directory);

/// True if it has a result: nothing is left to do.
bool is_finished(const std::filesystem::path& run_directory);

/// The configuration of an existing run directory. Throws Error(ErrorKind::usage) if it is none.
Config read_run_config(const std::filesystem::path& run_directory);

}  // namespace alma
