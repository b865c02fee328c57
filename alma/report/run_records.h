#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "alma/run/run_record.h"

namespace alma {

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

/// Reads run directories, at the folders and below them at any depth, also where symbolic links lead. What is damaged,
/// unfinished, foreign or hostile is left out with the reason: never an error. So are copies of a run, links that lead
/// nowhere or upwards, and what cannot be looked into. A folder counts once however often it is named or linked. Throws
/// Error(ErrorKind::usage) for a path that does not exist.
RunCollection read_runs(std::span<const std::filesystem::path> folders);

/// A line on standard error for each folder that was left out.
void warn_of_left_out(const RunCollection& collection);

}  // namespace alma
