#include "alma/console/fetch_console.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "alma/console/text.h"

namespace alma {

namespace {

std::string bytes_text(std::int64_t bytes) { return scaled(static_cast<Count>(bytes)) + (bytes < 10000 ? " B" : "B"); }

}  // namespace

ConsoleOptions fetch_console_options(bool quiet) { return console_options(std::cerr, STDERR_FILENO, quiet); }

std::string FetchConsole::progress_line(std::int64_t done, std::int64_t total, double now) const {
  std::string line = file_ + "  " + bytes_text(done);
  if (total > 0) line += " of " + bytes_text(total) + "  " + std::to_string(100 * done / total) + "%";
  const double passed = now - start_time_;
  if (passed > 0 && done > start_bytes_) {
    const double rate = static_cast<double>(done - start_bytes_) / passed;
    line += "  " + bytes_text(static_cast<std::int64_t>(rate)) + "/s";
    if (total > done) line += "  " + duration(static_cast<double>(total - done) / rate) + " left";
  }
  return line;
}

void FetchConsole::progress(const std::string& file, std::int64_t done, std::int64_t total, const std::string& more) {
  if (options_.out == nullptr || !options_.terminal) return;
  const double now = options_.now();
  if (file != file_ || done < start_bytes_) {
    file_ = file;
    start_time_ = now;
    start_bytes_ = done;
  } else if (now - last_time_ < 0.1 && done != total) {
    return;
  }
  last_time_ = now;
  std::string line = progress_line(done, total, now) + (more.empty() ? "" : "  " + more);
  line.resize(std::min(line.size(), static_cast<std::size_t>(options_.columns - 1)));
  *options_.out << '\r' << line << "\x1b[K" << std::flush;  // ESC [ K clears what a longer line left behind
  line_open_ = true;
}

void FetchConsole::say(const std::string& line) {
  if (options_.out == nullptr) return;
  end_line();
  *options_.out << line << '\n' << std::flush;
}

void FetchConsole::end_line() {
  if (!line_open_) return;
  *options_.out << '\n' << std::flush;
  line_open_ = false;
}

}  // namespace alma
