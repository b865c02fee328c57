#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>

#include "alma/config/config.h"
#include "alma/learn/metrics.h"
#include "kernels/backend.h"

namespace alma {

/// What the start-up table says besides the configuration.
struct RunFacts {
  BackendInfo backend;
  int threads = 1;
  std::int64_t train_samples = 0, validation_samples = 0, test_samples = 0;
  int classes = 0;
  std::int64_t parameters = 0;
  Count macs_per_sample = 0;  // forward, the paper's convention
  std::filesystem::path run_directory;
};

/// Where a run stands.
struct Progress {
  std::int64_t t = 0, mega_batches = 0;    // the mega-batch that is being worked on, from 1
  std::int64_t epoch = 0, max_epochs = 0;  // of the update under way
  std::optional<double> error;             // the latest on the test set
  double cer = 0;                          // so far
  double samples = 0;                      // trained on since the run began, repeats counted
  double samples_planned = 0;              // the same at the end, if no patience ends an update early
  bool mega_batch_done = false;
};

/// How and where a Console writes.
struct ConsoleOptions {
  std::ostream* out = nullptr;  // null: --quiet
  std::ostream* err = nullptr;  // warnings; always
  bool terminal = false;        // progress is redrawn in place
  bool unicode = false;         // the plot may use block characters
  int columns = 80;
  std::function<double()> now;                         // seconds, never going back
  std::function<void(const Progress&)> listener = {};  // where set, hears of all progress
};
/// For standard output and error of this process.
ConsoleOptions console_options(bool quiet);
/// The same with another stream of this process as `out`: standard error and its descriptor.
ConsoleOptions console_options(std::ostream& stream, int descriptor, bool quiet);

/// What a run says to the one who started it.
class Console {
 public:
  explicit Console(ConsoleOptions options) : options_(std::move(options)) {}

  /// Every setting (those that are not the default are marked), device, data and model.
  void start(const Config& config, const RunFacts& facts);
  /// May be called at every step: writes at most ten times a second on a terminal; elsewhere a line every 10 s, and at the
  /// end of a mega-batch at most one a second.
  void progress(const Progress& progress);
  /// A line that stays, on standard error, quiet or not: "warning: ...".
  void warn(const std::string& text);
  /// A line that stays, on standard output.
  void say(const std::string& text);
  /// Results, a plot of the error over the mega-batches, and where the run directory is.
  void finish(const Aggregates& aggregates, std::span<const MegaBatchRecord> records,
              const std::filesystem::path& run_directory);
  /// Ends a progress line that stands on the terminal.
  void end_line();

 private:
  bool due(const Progress& progress, double now) const;
  std::string progress_line(const Progress& progress, double now) const;

  ConsoleOptions options_;
  std::optional<double> start_time_, last_time_;
  double start_samples_ = 0;
  bool line_open_ = false;
};

}  // namespace alma
