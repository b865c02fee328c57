#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "alma/console/console.h"

namespace alma {

/// Writes to standard error of this process.
ConsoleOptions fetch_console_options(bool quiet);

/// The output of work on many bytes to its user: on a terminal a line that is redrawn with bytes, rate, percentage and the
/// time left, elsewhere only the permanent lines. Writes to ConsoleOptions::out.
class FetchConsole {
 public:
  explicit FetchConsole(ConsoleOptions options) : options_(std::move(options)) {}
  ~FetchConsole() { end_line(); }  // an error message gets a line of its own
  FetchConsole(const FetchConsole&) = delete;
  FetchConsole& operator=(const FetchConsole&) = delete;

  /// May be called for every piece of data: writes at most ten times a second, and only on a terminal. `total` -1: unknown.
  /// `more` is added to the line.
  void progress(const std::string& file, std::int64_t done, std::int64_t total, const std::string& more = "");
  /// Writes a permanent line.
  void say(const std::string& line);
  /// Ends an open progress line on the terminal.
  void end_line();

 private:
  std::string progress_line(std::int64_t done, std::int64_t total, double now) const;

  ConsoleOptions options_;
  std::string file_;  // being worked on
  double start_time_ = 0, last_time_ = 0;
  std::int64_t start_bytes_ = 0;  // present before; not counted in the rate
  bool line_open_ = false;
};

}  // namespace alma
