#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "base/error.h"

namespace alma {

/// A finished run, as read from its run directory.
struct RunRecord {
  std::filesystem::path folder;
  Config config;
  std::vector<MegaBatchRecord> records;  // t = 1 .. B
  Aggregates measures;                   // computed from the records; result.json must agree
  double seconds = 0;
  std::string device, level, version;
};

/// A result.json that is not a result: empty, truncated, or of other content. The records may be intact.
class __attribute__((visibility("default"))) DamagedResult : public Error {
 public:
  using Error::Error;
};

/// The finished run in a folder; nothing if there is no result. A result alone does not make a run finished: its B records
/// must exist, with the SHA-256 and the measures that it names. Throws Error(ErrorKind::data) that names the difference
/// (DamagedResult: the result itself is damaged), and what reading the files throws.
std::optional<RunRecord> read_finished_run(const std::filesystem::path& folder);

/// Whether nothing is left to do. False for a run that read_finished_run() refuses.
bool is_finished(const std::filesystem::path& folder);

}  // namespace alma
