#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/part_file.h"

namespace alma {

/// How long a download puts up with a server.
struct DownloadPatience {
  int connect_seconds = 20;
  int stall_seconds = 30;    // with less than 100 bytes a second
  int attempts = 4;          // at one mirror, without bringing 1 MiB more
  double pause_seconds = 1;  // before the second attempt; doubled for each one after
};

/// What a long transfer tells and asks.
struct TransferWatch {
  /// Bytes that are there, and of the whole file (-1: the server does not say). Called often.
  std::function<void(const std::string& file, std::int64_t done, std::int64_t total)> progress;
  /// Something worth a line.
  std::function<void(const std::string& line)> say;
  /// True if the transfer is to end; asked at least once a second.
  std::function<bool()> stop;
};

/// What is to be downloaded.
struct Download {
  std::string file;               // for messages
  std::vector<std::string> urls;  // http or https, tried in order until one serves a file that `accept` takes
  std::int64_t limit = 0;         // bytes; more is refused, as soon as it is announced or arrives
  /// Called when all bytes are in the part file; throws Error(ErrorKind::data) if they are not what was expected.
  std::function<void()> accept;
};

/// Fills `part` from one of the mirrors, going on behind what it holds already if the server can do that. Redirects are
/// followed (at most 10, http and https only) and certificates are verified. A file that was joined from several responses
/// and is refused by `accept` is fetched once more as a whole: its pieces may be of two versions.
/// Returns the position in `urls` of the mirror that served the file, or nothing if stop() ended it. Throws
/// Error(ErrorKind::data) with every mirror and its reason if none serves it; what was received stays in `part`.
std::optional<std::size_t> download(const Download& wanted, PartFile& part, const DownloadPatience& patience,
                                    const TransferWatch& watch);

}  // namespace alma
