#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "base/error.h"

namespace alma {

/// A finished run, as its run directory tells it.
struct RunRecord {
  std::filesystem::path folder;
  Config config;
  std::vector<MegaBatchRecord> records;  // t = 1 .. B
  Aggregates measures;                   // made of the records again; result.json must agree
  double seconds = 0;
  std::string device, level, version;
};

/// A result.json is there that is none: empty, cut, or something else. The records may be whole.
class __attribute__((visibility("default"))) DamagedResult : public Error {
 public:
  using Error::Error;
};

/// A finished run; nothing if there is no result. A result alone does not make a run finished: its records must be there,
/// B of them, with the SHA-256 and the measures that it names. Throws Error(ErrorKind::data) with what disagrees
/// (DamagedResult: the result itself is damaged), and what reading the files throws.
std::optional<RunRecord> read_finished_run(const std::filesystem::path& folder);

/// True if nothing is left to do. False for a run that read_finished_run() refuses.
bool is_finished(const std::filesystem::path& folder);

}  // namespace alma
