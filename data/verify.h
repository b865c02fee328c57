#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/published.h"

namespace alma {

/// A line of `alma data verify NAME`.
struct FileCheck {
  std::string file;        // the file's name in the data set
  std::string path;        // its place; empty if it was not found
  std::int64_t bytes = 0;  // unpacked
  std::string sha256;      // of the unpacked content; empty if it could not be read
  std::string expected;    // SHA-256 of the published content
  std::string problem;     // empty if the file is correct; otherwise the fault
  bool ok() const { return problem.empty(); }
};

/// Compares the unpacked content of `path` with the published one. A problem is returned, not thrown; an empty path means a
/// missing file.
FileCheck check_file(const PublishedFile& file, const std::string& path);

/// Calls check_file() for every file of a set at the place that find_place() finds; an archive is correct as a whole or not
/// at all. Throws Error(ErrorKind::usage) for an unknown name or a set without published files.
std::vector<FileCheck> verify(const std::string& name);

}  // namespace alma
