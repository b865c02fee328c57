#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alma/console/console.h"
#include "alma/sweep/estimate.h"
#include "alma/sweep/grid.h"
#include "alma/sweep/worker.h"

namespace alma {

/// One run of a sweep, and what is known about it.
struct SweepRun {
  enum class State {
    waiting,
    running,
    done,       // by this sweep
    found,      // finished before
    elsewhere,  // another process has it; looked at again later
    failed,
  };
  GridPoint point;
  std::size_t position = 0;  // in the grid
  State state = State::waiting;
  bool begun = false;                        // its run directory was there when the sweep started
  std::optional<Estimate> estimate;          // of runs that were to be done at the start
  std::string error;                         // why it failed, or cannot be measured
  double started = 0, seconds = 0;           // steady clock; what this sweep has spent on it
  std::unique_ptr<Worker<Progress>> worker;  // while it runs
  std::size_t text_read = 0;                 // of what it says
};

struct SweepSettings {
  std::filesystem::path out;  // run directories lie in it
  int jobs = 1;               // runs at once
  std::string device = "auto";
  int threads = 1;  // of a run
};

/// A grid of runs, several at once, longest first, each in a process of its own and in a run directory of its own. Runs that
/// are finished are left alone, those that were interrupted go on, and one that fails does not stop the others. Several
/// sweeps may work on one folder at the same time: each run is done by one of them, and one that was killed leaves its runs
/// to the others.
class Sweep {
 public:
  /// What happens; called in the process that made the sweep.
  struct Listener {
    virtual ~Listener() = default;
    virtual void probing(std::size_t done, std::size_t all) = 0;
    virtual void warned(const SweepRun& run, const std::string& line) = 0;
    virtual void put_off(const std::string& why) = 0;  // runs that are to come have to wait; said once
    virtual void ended(const SweepRun& run) = 0;
    virtual void tick() = 0;  // several times a second
  };

  Sweep(std::vector<GridPoint> points, SweepSettings settings, Listener& listener);

  /// Measures what the runs that are left will cost, and puts them into the order in which they will run. A learner that
  /// cannot be measured has no estimate: the error is its runs' to report. False if it was interrupted.
  bool estimate();
  /// After estimate(): lets go of runs so that what is left takes at most so long; those that come first in the grid are
  /// kept first.
  void fit_into(double seconds);
  /// Until every run has ended; false if it was interrupted: the runs have saved then.
  bool run();

  const std::vector<SweepRun>& runs() const { return runs_; }
  std::size_t count(SweepRun::State state) const;
  /// Until everything is done, by the estimates and how true they have been so far; nothing while that is not known.
  std::optional<double> seconds_left() const;

 private:
  struct Measurement;  // of what a step of a learner costs

  void look_elsewhere();
  bool measure(const Config& config, Measurement& measurement);
  void start_what_fits();
  void start(SweepRun& run);
  void put_off(const std::string& why);
  void tell_put_off(const std::string& why);
  void follow(SweepRun& run);
  void end(SweepRun& run);
  void wait_for_news() const;

  std::vector<SweepRun> runs_;
  SweepSettings settings_;
  Listener& listener_;
  double last_look_ = 0;
  double next_start_ = 0;  // steady clock; not before, since the system had no room for a process
  bool told_ = false;      // of that
  int failed_starts_ = 0;  // in a row, while no run was under way
};

}  // namespace alma
