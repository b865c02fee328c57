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

/// The facts that the start-up table shows in addition to the configuration.
struct RunFacts {
  BackendInfo backend;
  int threads = 1;
  std::int64_t train_samples = 0, validation_samples = 0, test_samples = 0;
  int classes = 0;                         // or tokens of a vocabulary
  std::int64_t smallest = 0, largest = 0;  // training samples of a mega-batch
  std::int64_t sequence = 0;               // tokens in a sample of text; 0: images
  std::int64_t parameters = 0;
  Count macs_per_sample = 0;  // forward, counted as in the paper
  std::filesystem::path run_directory;
};

/// The progress of a run.
struct Progress {
  std::int64_t t = 0, mega_batches = 0;    // the current mega-batch, counted from 1
  std::int64_t epoch = 0, max_epochs = 0;  // of the current update
  std::optional<double> error;             // the latest test error
  double cer = 0;                          // so far
  double samples = 0;                      // samples trained on since the run began, repetitions included
  double samples_planned = 0;              // the same at the end of the run, if no update stops early
  bool mega_batch_done = false;
  bool of_language = false;  // the error is a perplexity, and cer is nothing
  std::optional<double> bits_per_byte = {};
};

/// How and where a Console writes.
struct ConsoleOptions {
  std::ostream* out = nullptr;  // null: --quiet
  std::ostream* err = nullptr;  // for warnings; never null
  bool terminal = false;        // whether progress is redrawn in place
  bool unicode = false;         // whether the plot may use block characters
  int columns = 80;
  std::function<double()> now;                         // monotonic seconds
  std::function<void(const Progress&)> listener = {};  // if set, is called with all progress
};
/// Options for standard output and standard error of this process.
ConsoleOptions console_options(bool quiet);
/// The same with another stream of this process, such as standard error and its descriptor, as `out`.
ConsoleOptions console_options(std::ostream& stream, int descriptor, bool quiet);

/// The output of a run to its user.
class Console {
 public:
  explicit Console(ConsoleOptions options) : options_(std::move(options)) {}

  /// Writes all settings (with a mark at those that differ from the default), device, data and model.
  void start(const Config& config, const RunFacts& facts);
  /// May be called at every step. On a terminal it writes at most ten times a second; elsewhere it writes a line every 10 s
  /// and, at most once a second, at the end of a mega-batch.
  void progress(const Progress& progress);
  /// Writes a permanent line "warning: ..." to standard error, also with --quiet.
  void warn(const std::string& text);
  /// Writes a permanent line to standard output.
  void say(const std::string& text);
  /// Writes the results, a plot of the error over the mega-batches, and the path of the run directory.
  void finish(const Aggregates& aggregates, std::span<const MegaBatchRecord> records,
              const std::filesystem::path& run_directory);
  /// Ends an open progress line on the terminal.
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
