#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "alma/console/console.h"
#include "alma/sweep/sweep.h"

namespace alma {

/// The output of a sweep to its user: a line for each run that ends and, on a terminal, the active runs below them.
class SweepConsole final : public Sweep::Listener {
 public:
  explicit SweepConsole(const ConsoleOptions& options) : options_(options) {}

  void probing(std::size_t done, std::size_t all) override;
  void warned(const SweepRun& run, const std::string& line) override;
  void put_off(const std::string& why) override;
  void ended(const SweepRun& run) override;
  void tick() override;

  /// Runs the sweep, after its estimate, to the end. Throws Error(ErrorKind::failed) if runs failed; returns false if
  /// it was interrupted.
  bool run(Sweep& sweep, const std::filesystem::path& out);
  /// Says that the sweep was interrupted. Returns the exit code for that.
  int interrupted();
  /// Prints the grid and its estimated cost to standard output, also with --quiet.
  void print_grid(const Sweep& sweep, int jobs);

 private:
  void begin(const Sweep& sweep, const std::filesystem::path& out);
  std::string under_way(const SweepRun& run) const;
  std::string summary() const;
  void draw(const std::vector<std::string>& lines);
  void erase();

  ConsoleOptions options_;
  const Sweep* sweep_ = nullptr;
  std::size_t name_width_ = 0, drawn_ = 0;
};

}  // namespace alma
