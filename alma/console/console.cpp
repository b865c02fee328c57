#include "alma/console/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "alma/config/build_info.h"
#include "alma/console/plot.h"
#include "alma/console/text.h"
#include "base/clock.h"

namespace alma {

namespace {

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view locale = value;
    return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos;
  }
  return false;
}

int terminal_columns(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

}  // namespace

ConsoleOptions console_options(std::ostream& stream, int descriptor, bool quiet) {
  ConsoleOptions options;
  options.out = quiet ? nullptr : &stream;
  options.err = &std::cerr;
  const char* term = std::getenv("TERM");
  options.terminal = ::isatty(descriptor) == 1 && term != nullptr && std::string_view(term) != "dumb";
  options.unicode = locale_is_utf8();
  options.columns = options.terminal ? terminal_columns(descriptor) : 80;
  options.now = steady_seconds;
  return options;
}

ConsoleOptions console_options(bool quiet) { return console_options(std::cout, STDOUT_FILENO, quiet); }

void Console::start(const Config& config, const RunFacts& facts) {
  if (options_.out == nullptr) return;
  std::ostream& out = *options_.out;
  out << "alma " << version() << "   (* differs from the default)\n";
  for (const auto& [key, value, is_default] : list_config(config))
    out << (is_default ? "    " : "  * ") << padded(key, 26) << value << '\n';
  const BackendInfo& backend = facts.backend;
  out << "    " << padded("device", 26) << backend.device << ' ' << backend.level << ", " << backend.hardware;
  if (!backend.versions.empty()) out << ", " << backend.versions;
  if (!backend.why.empty()) out << "\n    " << padded("device auto is cpu", 26) << backend.why;
  out << "\n    " << padded("threads", 26) << facts.threads;
  out << "\n    " << padded("data", 26) << grouped(facts.train_samples) << " training, " << grouped(facts.validation_samples)
      << " validation, " << grouped(facts.test_samples) << " test samples, ";
  if (facts.sequence > 0) {
    out << "each of " << grouped(facts.sequence) << " tokens of a vocabulary of " << grouped(facts.classes);
    out << "\n    " << padded("mega-batches", 26) << grouped(facts.smallest) << " to " << grouped(facts.largest)
        << " training samples, whole documents";
  } else {
    out << facts.classes << " classes";
  }
  out << "\n    " << padded("model", 26) << grouped(facts.parameters) << " parameters, " << scaled(facts.macs_per_sample)
      << " MACs per sample (forward)";
  out << "\n    " << padded("run directory", 26) << facts.run_directory.string() << '\n' << std::flush;
}

bool Console::due(const Progress& progress, double now) const {
  if (!last_time_) return options_.terminal;
  const double since = now - *last_time_;
  if (options_.terminal) return since >= 0.1;
  return since >= 10 || (progress.mega_batch_done && since >= 1);
}

std::string Console::progress_line(const Progress& progress, double now) const {
  std::string line = "mega-batch " + std::to_string(progress.t) + "/" + std::to_string(progress.mega_batches);
  line += "  epoch " + std::to_string(progress.epoch) + "/" + std::to_string(progress.max_epochs);
  if (progress.of_language) {
    if (progress.error) line += "  ppl " + fixed(*progress.error, 2);
    if (progress.bits_per_byte) line += ", " + fixed(*progress.bits_per_byte, 3) + " bits/byte";
  } else {
    if (progress.error) line += "  error " + fixed(*progress.error, 4);
    line += "  CER " + fixed(progress.cer, 3);
  }
  const double passed = now - *start_time_, trained = progress.samples - start_samples_;
  if (passed <= 0 || trained <= 0) return line;
  const double rate = trained / passed;
  line += "  " + (rate < 10 ? fixed(rate, 2) : grouped(static_cast<std::int64_t>(rate))) + " samples/s";
  line += "  " + duration(std::max(0.0, progress.samples_planned - progress.samples) / rate) + " left";
  return line;
}

void Console::progress(const Progress& progress) {
  if (options_.listener) options_.listener(progress);
  if (options_.out == nullptr) return;
  const double now = options_.now();
  if (!start_time_) {
    start_time_ = now;
    start_samples_ = progress.samples;
    if (!options_.terminal) last_time_ = now;
  }
  if (!due(progress, now)) return;
  last_time_ = now;
  std::string line = progress_line(progress, now);
  if (!options_.terminal) {
    *options_.out << line << '\n' << std::flush;
    return;
  }
  line.resize(std::min(line.size(), static_cast<std::size_t>(options_.columns - 1)));
  *options_.out << '\r' << line << "\x1b[K" << std::flush;  // ESC [ K clears what a longer line left behind
  line_open_ = true;
}

void Console::end_line() {
  if (!line_open_) return;
  *options_.out << '\n' << std::flush;
  line_open_ = false;
}

void Console::warn(const std::string& text) {
  end_line();
  *options_.err << "warning: " << text << '\n' << std::flush;
}

void Console::say(const std::string& text) {
  if (options_.out == nullptr) return;
  end_line();
  *options_.out << text << '\n' << std::flush;
}

void Console::finish(const Aggregates& aggregates, std::span<const MegaBatchRecord> records,
                     const std::filesystem::path& run_directory) {
  if (options_.out == nullptr) return;
  end_line();
  std::ostream& out = *options_.out;
  std::vector<double> errors;
  for (const MegaBatchRecord& record : records) errors.push_back(judged_by(record));
  const bool language = aggregates.of_language();
  out << '\n'
      << plot_curve(errors, language ? "test perplexity" : "test error", std::min(options_.columns, 80), options_.unicode)
      << '\n';
  const auto row = [&](const char* name, const std::string& value) { out << "  " << padded(name, 22) << value << '\n'; };
  if (language) {
    const auto bits = [](const std::optional<double>& value) {
      return value ? ", " + fixed(*value, 4) + " bits per byte" : std::string();
    };
    row("mean perplexity", fixed(aggregates.mean_ppl, 3) + bits(aggregates.bits_per_byte));
    row("final perplexity", fixed(errors.back(), 3) + bits(records.back().bits_per_byte));
  } else {
    row("CER (Eq. 1)", fixed(aggregates.cer, 4) + ", the sum of " + std::to_string(records.size()) + " errors");
    if (aggregates.paper_cer) row("CER as in the figures", fixed(*aggregates.paper_cer, 1));
    row("final error", fixed(aggregates.final_error, 4));
  }
  row("memory", scaled(aggregates.mem) + " parameters, summed over the mega-batches");
  row("compute", scaled(aggregates.comp_macs) + " MACs (forward only, as in the paper), " + scaled(aggregates.comp_flops) +
                     " FLOPs (forward and backward)");
  row("time", duration(records.empty() ? 0 : records.back().seconds));
  row("run directory", run_directory.string());
  out << std::flush;
}

}  // namespace alma
