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

/// One run of a sweep, and its state.
struct SweepRun {
  enum class State {
    waiting,
    running,
    done,       // by this sweep
    found,      // finished before
    elsewhere,  // in use by another process; checked again later
    failed,
  };
  GridPoint point;
  std::size_t position = 0;  // in the grid
  State state = State::waiting;
  bool begun = false;                        // its run directory existed when the sweep started
  std::optional<Estimate> estimate;          // of runs that were not finished at the start
  std::string error;                         // the reason why it failed or cannot be measured
  double started = 0, seconds = 0;           // steady clock; time that this sweep has spent on it
  std::unique_ptr<Worker<Progress>> worker;  // while it runs
  std::size_t text_read = 0;                 // bytes of its output that have been read
};

struct SweepSettings {
  std::filesystem::path out;  // folder of the run directories
  int jobs = 1;               // number of runs at the same time
  std::string device = "auto";
  int threads = 1;  // per run
};

/// Does the runs of a grid, several at a time, longest first, each in a process and a run directory of its own. Finished
/// runs are skipped, interrupted runs are resumed, and a run that fails does not stop the others. Several sweeps may
/// work on one folder at the same time: each run is done by one of them, and the others take over the runs of a sweep
/// that was killed.
class Sweep {
 public:
  /// Receives the events of a sweep, in the process that made it.
  struct Listener {
    virtual ~Listener() = default;
    virtual void probing(std::size_t done, std::size_t all) = 0;
    virtual void warned(const SweepRun& run, const std::string& line) = 0;
    virtual void put_off(const std::string& why) = 0;  // the next runs have to wait; called once
    virtual void ended(const SweepRun& run) = 0;
    virtual void tick() = 0;  // several times a second
  };

  Sweep(std::vector<GridPoint> points, SweepSettings settings, Listener& listener);

  /// Measures the cost of the remaining runs and puts them into the order in which they will run. A learner that cannot be
  /// measured has no estimate; its runs report the error. Returns false if it was interrupted.
  bool estimate();
  /// After estimate(): drops runs so that the remaining ones take at most that long; runs that come first in the grid are
  /// kept first.
  void fit_into(double seconds);
  /// Does all runs; returns false if it was interrupted, after the runs have saved.
  bool run();

  const std::vector<SweepRun>& runs() const { return runs_; }
  std::size_t count(SweepRun::State state) const;
  /// The remaining time, from the estimates and their accuracy so far; nothing while it is unknown.
  std::optional<double> seconds_left() const;

 private:
  struct Measurement;  // of the cost of a learner's step

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
  double next_start_ = 0;  // steady clock; no start before this time, since the system had no room for a process
  bool told_ = false;      // whether put_off() has been called
  int failed_starts_ = 0;  // consecutive ones while no run was active
};

}  // namespace alma
