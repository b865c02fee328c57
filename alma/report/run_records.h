#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"

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

/// A folder that was asked for and is not part of the report.
struct LeftOut {
  std::filesystem::path folder;
  std::string reason;
};

struct RunCollection {
  std::vector<RunRecord> runs;  // in the order of their paths
  std::vector<LeftOut> left_out;
};

/// The configuration without what no outcome depends on: equal for runs that must give the same numbers on one machine.
std::string outcome_key(Config config);

/// Reads run directories; a folder that is none is searched for them at any depth. What is damaged, unfinished or foreign is
/// left out with the reason: never an error. So are copies of a run, and a folder counts once however often it is named.
/// Throws Error(ErrorKind::usage) for a path that does not exist.
RunCollection read_runs(std::span<const std::filesystem::path> folders);

/// A line on standard error for each folder that was left out.
void warn_of_left_out(const RunCollection& collection);

}  // namespace alma
