#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/download.h"
#include "data/published.h"

namespace alma {

/// How a data set is fetched.
struct FetchOptions {
  std::filesystem::path folder;      // the set gets a folder of its own in it
  std::vector<std::string> mirrors;  // URLs of folders with the packed files, tried before those of the set
  DownloadPatience patience;
  TransferWatch watch;
};

/// What is there at the end.
struct Fetched {
  bool complete = false;  // false: stop() ended it; what has arrived is kept, and the next fetch goes on from there
  std::filesystem::path folder;
  int fetched = 0, kept = 0;  // files
};

/// Brings the files of a set into FOLDER/NAME. A file that is there and right is kept; a damaged one gives way to a right
/// one and to nothing else. A second fetch of the same set waits for the first. Throws Error(ErrorKind::data) if a file
/// cannot be had from any mirror, with their reasons and what to do.
Fetched fetch(const PublishedSet& set, const FetchOptions& options);

/// The user's own mirrors: those given, then those of ALMA_MIRRORS (separated by spaces).
/// Throws Error(ErrorKind::usage) for one that is not a URL of http or https.
std::vector<std::string> own_mirrors(const std::vector<std::string>& given);

}  // namespace alma
