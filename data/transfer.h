#pragma once
#include <string>

#include "data/download.h"

namespace alma {

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
