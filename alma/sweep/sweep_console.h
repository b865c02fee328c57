#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "alma/console/console.h"
#include "alma/sweep/sweep.h"

namespace alma {

/// A sweep as its user sees it: a line for each run that ends and, on a terminal, below them what is under way.
class SweepConsole final : public Sweep::Listener {
 public:
  explicit SweepConsole(const ConsoleOptions& options) : options_(options) {}

  void probing(std::size_t done, std::size_t all) override;
  void warned(const SweepRun& run, const std::string& line) override;
  void put_off(const std::string& why) override;
  void ended(const SweepRun& run) override;
  void tick() override;

  /// Runs the sweep, once it has been estimated, to its end. Throws Error(ErrorKind::failed) if runs failed; false if it was
  /// interrupted.
  bool run(Sweep& sweep, const std::filesystem::path& out);
  /// Says that the sweep was interrupted. Returns the exit code for that.
  int interrupted();
  /// The grid with what it will cost; to standard output, quiet or not.
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
