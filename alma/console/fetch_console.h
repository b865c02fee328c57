#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "alma/console/console.h"

namespace alma {

/// For standard error of this process.
ConsoleOptions fetch_console_options(bool quiet);

/// What a fetch says to the one who started it: on a terminal a line that is redrawn with bytes, rate and percent, elsewhere
/// only the lines that stay. Writes to ConsoleOptions::out.
class FetchConsole {
 public:
  explicit FetchConsole(ConsoleOptions options) : options_(std::move(options)) {}
  ~FetchConsole() { end_line(); }  // an error message gets a line of its own
  FetchConsole(const FetchConsole&) = delete;
  FetchConsole& operator=(const FetchConsole&) = delete;

  /// May be called at every piece: writes at most ten times a second, on a terminal alone. `total` -1: unknown.
  void progress(const std::string& file, std::int64_t done, std::int64_t total);
  /// A line that stays.
  void say(const std::string& line);
  /// Ends a progress line that stands on the terminal.
  void end_line();

 private:
  std::string progress_line(std::int64_t done, std::int64_t total, double now) const;

  ConsoleOptions options_;
  std::string file_;  // under way
  double start_time_ = 0, last_time_ = 0;
  std::int64_t start_bytes_ = 0;  // what was there before does not count as speed
  bool line_open_ = false;
};

}  // namespace alma
