#include "data/download.h"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "data/transfer.h"

namespace alma {
namespace {

using Next = TransferEnd::Next;

constexpr std::int64_t kWorthGoingOn = 1 << 20;  // an attempt that brought this many bytes does not count as failed

/// Waits; false if stop() ended it.
bool pause(double seconds, const TransferWatch& watch) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!watch.stop || !watch.stop()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left.count() <= 0) return true;
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(left, std::chrono::milliseconds(100)));
  }
  return false;
}

/// Does one request, and accepts or refuses the file.
TransferEnd attempt(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
                    const TransferWatch& watch) {
  const TransferEnd end = transfer(url, wanted, part, patience, watch);
  if (end.next != Next::accept) return end;
  try {
    wanted.accept();
    return end;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    part.restart();
    return {end.joined ? Next::retry : Next::give_up, error.what()};
  }
}

TransferEnd from_mirror(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
                        const TransferWatch& watch) {
  std::int64_t furthest = part.bytes();
  double seconds = patience.pause_seconds;
  for (int failed = 0;;) {
    TransferEnd end = attempt(url, wanted, part, patience, watch);
    if (end.next != Next::retry) return end;
    if (part.bytes() >= furthest + kWorthGoingOn) {
      furthest = part.bytes();
      failed = 0;
      seconds = patience.pause_seconds;
    }
    if (++failed >= patience.attempts) return {Next::give_up, end.reason + " (" + std::to_string(failed) + " attempts)"};
    if (watch.say) {
      std::ostringstream line;
      line << url << ": " << end.reason << "; trying again in " << seconds << " s (attempt " << failed + 1 << " of "
           << patience.attempts << ")";
      watch.say(line.str());
    }
    if (!pause(seconds, watch)) return {Next::stop, ""};
    seconds *= 2;
  }
}

}  // namespace

std::optional<std::size_t> download(const Download& wanted, PartFile& part, const DownloadPatience& patience,
                                    const TransferWatch& watch) {
  std::string reasons;
  for (std::size_t i = 0; i < wanted.urls.size(); ++i) {
    const TransferEnd end = from_mirror(wanted.urls[i], wanted, part, patience, watch);
    if (end.next == Next::accept) return i;
    if (end.next == Next::stop) return std::nullopt;
    const std::string line = wanted.urls[i] + ": " + end.reason;
    if (watch.say && i + 1 < wanted.urls.size()) watch.say(line + "; trying the next mirror");
    reasons += "\n  " + line;
  }
  fail(ErrorKind::data, wanted.file, ": no mirror serves it:", reasons);
}

}  // namespace alma
