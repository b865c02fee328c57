#include <charconv>
#include <iostream>

#include "alma/commands/commands.h"
#include "alma/run/interrupt.h"
#include "alma/sweep/sweep_console.h"
#include "base/error.h"
#include "base/process.h"

namespace alma {

namespace {

/// The points of a shard: every n-th point, from the i-th on.
std::vector<GridPoint> take_shard(std::vector<GridPoint> points, const std::string& shard) {
  if (shard.empty()) return points;
  std::size_t index = 0, count = 0;
  const char *begin = shard.data(), *end = begin + shard.size();
  const auto first = std::from_chars(begin, end, index);
  const bool split = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second = split ? std::from_chars(first.ptr + 1, end, count) : first;
  if (!split || second.ec != std::errc() || second.ptr != end || index < 1 || index > count)
    fail(ErrorKind::usage, "--shard ", shard, ": expected i/n with 1 <= i <= n, such as 1/4");
  std::vector<GridPoint> taken;
  for (std::size_t i = index - 1; i < points.size(); i += count) taken.push_back(std::move(points[i]));
  return taken;
}

}  // namespace

int sweep_command(const SweepOptions& options) {
  if (options.dry_run) require_standard_output();
  SweepSettings settings = options.settings;
  if (settings.out.empty()) settings.out = std::filesystem::path("runs") / options.file.stem();
  Grid grid = load_grid(options.file);
  for (const std::string& warning : grid.warnings) std::cerr << "warning: " << warning << '\n';
  for (const GridPoint& point : grid.points) check_trainable(point.config);
  SweepConsole console(console_options(options.quiet));
  Sweep sweep(take_shard(std::move(grid.points), options.shard), settings, console);
  catch_interrupts();
  if (!sweep.estimate()) return console.interrupted();
  if (options.dry_run) {
    console.print_grid(sweep, settings.jobs);
    return 0;
  }
  if (!console.run(sweep, settings.out)) return console.interrupted();
  if (!options.quiet) std::cout << "all done; see the results with: alma report " << settings.out.string() << '\n';
  return 0;
}

}  // namespace alma
