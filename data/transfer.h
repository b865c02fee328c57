#pragma once
#include <cstdint>
#include <functional>
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
  int quiet_seconds = 5;     // without a byte, until that is said
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

/// How a request ended.
struct TransferEnd {
  enum class Next {
    accept,   // all bytes are there
    retry,    // it may go better next time, from where it broke off
    give_up,  // this mirror does not serve the file
    stop,     // as stop() said
  };
  Next next = Next::accept;
  std::string reason;   // of retry and give_up
  bool joined = false;  // the bytes in the part file come from more than one response
};

/// One HTTP request, for what `part` lacks: the response is appended, or replaces what it holds if the server sends the
/// whole file. Throws what the part file throws.
TransferEnd transfer(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
                     const TransferWatch& watch);

}  // namespace alma
