#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "alma/run/run_record.h"

namespace alma {

/// A folder that is left out of the report, and the reason.
struct LeftOut {
  std::filesystem::path folder;
  std::string reason;
};

struct RunCollection {
  std::vector<RunRecord> runs;  // in the order of their paths
  std::vector<LeftOut> left_out;
};

/// The configuration without the keys that do not affect the outcome: equal for runs that must give the same numbers
/// on one machine.
std::string outcome_key(Config config);

/// Reads the run directories at and below the folders, at any depth, following symbolic links. A folder that is damaged,
/// unfinished, foreign or hostile is left out with the reason and is never an error; so are copies of a run, links that are
/// broken or lead upwards, and folders that cannot be read. A folder counts once, however often it is named or linked.
/// Throws Error(ErrorKind::usage) for a path that does not exist.
RunCollection read_runs(std::span<const std::filesystem::path> folders);

/// Writes a line to standard error for each folder that was left out.
void warn_of_left_out(const RunCollection& collection);

}  // namespace alma
