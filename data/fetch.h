#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/download.h"
#include "data/published.h"

namespace alma {

/// The options of a fetch.
struct FetchOptions {
  std::filesystem::path folder;      // the set's own folder is made in it
  std::vector<std::string> mirrors;  // URLs of folders with the packed files, tried before those of the set
  DownloadPatience patience;
  TransferWatch watch;
};

/// The outcome of a fetch.
struct Fetched {
  bool complete = false;  // false: stop() ended it; the received data is kept, and the next fetch continues from there
  std::filesystem::path folder;
  int fetched = 0, kept = 0;  // files
};

/// Downloads the files of a set into FOLDER/NAME. A correct file is kept; a damaged one is only replaced by a correct one. A
/// second fetch of the same set waits for the first. Throws Error(ErrorKind::data) if no mirror serves a file, with the
/// reasons and what to do.
Fetched fetch(const PublishedSet& set, const FetchOptions& options);

/// The user's mirrors: those given, then those of ALMA_MIRRORS (separated by spaces).
/// Throws Error(ErrorKind::usage) for a mirror that is not an http or https URL.
std::vector<std::string> own_mirrors(const std::vector<std::string>& given);

}  // namespace alma
