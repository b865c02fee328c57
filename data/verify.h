#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/published.h"

namespace alma {

/// A line of `alma data verify NAME`.
struct FileCheck {
  std::string file;        // the file's name in the data set
  std::string path;        // where it was found; empty if it was not
  std::int64_t bytes = 0;  // unpacked
  std::string sha256;      // of the unpacked content; empty if it could not be read
  std::string expected;    // the published content's
  std::string problem;     // empty if the file is right; otherwise what is wrong with it
  bool ok() const { return problem.empty(); }
};

/// Compares the unpacked content of `path` with the published one. A problem is reported, not thrown; a path that is empty
/// is a missing file.
FileCheck check_file(const PublishedFile& file, const std::string& path);

/// check_file for every file of a set, where find_place finds it; an archive is right as a whole or not. Throws
/// Error(ErrorKind::usage) for an unknown name or a set without published files.
std::vector<FileCheck> verify(const std::string& name);

}  // namespace alma
