#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/part_file.h"

namespace alma {

/// The limits of a download's patience with a server.
struct DownloadPatience {
  int connect_seconds = 20;
  int stall_seconds = 30;    // seconds below 100 bytes per second, before the attempt is given up
  int attempts = 4;          // per mirror; an attempt that brings 1 MiB does not count
  double pause_seconds = 1;  // before the second attempt; doubled for each further one
  int quiet_seconds = 5;     // seconds without a byte, before a message says so
};

/// The callbacks of a long transfer.
struct TransferWatch {
  /// The bytes received, and those of the whole file (-1: unknown). Called often.
  std::function<void(const std::string& file, std::int64_t done, std::int64_t total)> progress;
  /// A message for the user.
  std::function<void(const std::string& line)> say;
  /// Whether the transfer should end; called at least once a second.
  std::function<bool()> stop;
};

/// A file to download.
struct Download {
  std::string file;               // for messages
  std::vector<std::string> urls;  // http or https, tried in order until one serves a file that `accept` takes
  std::int64_t limit = 0;         // in bytes; more is refused, as soon as it is announced or arrives
  /// Called when all bytes are in the part file; throws Error(ErrorKind::data) if they are not the expected ones.
  std::function<void()> accept;
};

/// The outcome of a request.
struct TransferEnd {
  enum class Next {
    accept,   // all bytes have arrived
    retry,    // another attempt may succeed, from where this one broke off
    give_up,  // this mirror does not have the file
    stop,     // stop() has ended it
  };
  Next next = Next::accept;
  std::string reason;   // of retry and give_up
  bool joined = false;  // whether the bytes in the part file come from several responses
};

/// Does one HTTP request for the bytes that `part` lacks. The response is appended, or replaces the content if the server
/// sends the whole file. Throws the errors of the part file.
TransferEnd transfer(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
                     const TransferWatch& watch);

}  // namespace alma
