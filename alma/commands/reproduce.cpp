#include <algorithm>
#include <charconv>
#include <iostream>

#include "alma/commands/commands.h"
#include "alma/config/shipped_configs.h"
#include "alma/console/text.h"
#include "alma/reproduce/claims.h"
#include "alma/run/interrupt.h"
#include "alma/run/run_record.h"
#include "alma/sweep/sweep_console.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace alma {

namespace {

/// A time such as "90m", "2h30m" or "45s" in seconds.
double read_time(const std::string& text) {
  double seconds = 0;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    double number = 0;
    const auto parsed = std::from_chars(at, end, number);
    const char unit = parsed.ec == std::errc() && parsed.ptr != end ? *parsed.ptr : '?';
    const double length = unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
    if (length == 0 || number < 0) break;
    seconds += number * length;
    at = parsed.ptr + 1;
  }
  if (at != end || seconds == 0) fail(ErrorKind::usage, "--time ", text, ": expected a time such as 90m, 2h30m or 45s");
  return seconds;
}

/// Drops the runs that do not fit. Throws Error(ErrorKind::usage) if none is left.
void fit_into(Sweep& sweep, double seconds) {
  const std::size_t all = sweep.runs().size();
  double shortest = 0;
  for (const SweepRun& run : sweep.runs())
    if (run.estimate && (shortest == 0 || run.estimate->seconds < shortest)) shortest = run.estimate->seconds;
  sweep.fit_into(seconds);
  if (sweep.runs().empty())
    fail(ErrorKind::usage, "no run fits into --time ", duration(seconds), ": the shortest takes about ", duration(shortest));
  if (sweep.runs().size() < all)
    std::cerr << "warning: " << all - sweep.runs().size() << " of " << all << " runs do not fit into --time "
              << duration(seconds) << "; claims that need them stay undecided\n";
}

}  // namespace

int reproduce_command(const ReproduceOptions& options) {
  if (options.dry_run) require_standard_output();
  const double seconds = options.time.empty() ? 0 : read_time(options.time);
  SweepSettings settings = options.settings;
  if (settings.out.empty()) settings.out = "runs/reproduce-" + options.data_set;
  const std::string& grid = *find_shipped_config("sweeps/" + options.data_set + ".toml");
  const std::vector<GridPoint> points = parse_grid(grid, "the grid of " + options.data_set, ".").points;
  SweepConsole console(console_options(options.quiet));
  Sweep sweep(points, settings, console);
  catch_interrupts();
  if (!sweep.estimate()) return console.interrupted();
  if (seconds > 0) fit_into(sweep, seconds);
  if (options.dry_run) {
    console.print_grid(sweep, settings.jobs);
    return 0;
  }
  if (!console.run(sweep, settings.out)) return console.interrupted();
  std::vector<std::filesystem::path> finished;
  for (const GridPoint& point : points)
    if (is_finished(settings.out / point.name)) finished.push_back(settings.out / point.name);
  const RunCollection collection = read_runs(finished);
  warn_of_left_out(collection);
  const std::string table = markdown_table(check_claims(measure(collection.runs), options.data_set));
  write_atomically(settings.out / "claims.md", table);
  std::cout << '\n' << table;
  return 0;
}

}  // namespace alma
