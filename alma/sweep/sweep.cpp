#include "alma/sweep/sweep.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "alma/run/interrupt.h"
#include "alma/run/run.h"
#include "alma/run/run_record.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/exit_code.h"

namespace alma {

namespace {

using State = SweepRun::State;

constexpr int kElsewhere = 75;              // exit code of a worker whose run is in use by another process
constexpr double kSecondsBetweenLooks = 2;  // checks of runs of other processes
constexpr int kTickMilliseconds = 200;
constexpr double kSecondsBetweenStarts = 1;  // attempts to start a process for which there was no room
constexpr int kMostStarts = 5;               // consecutive attempts while no run is active

/// The complete lines of `text` from position `from` on, which moves behind them.
std::vector<std::string> whole_lines(const std::string& text, std::size_t& from) {
  std::vector<std::string> lines;
  for (std::size_t end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    lines.push_back(text.substr(from, end - from));
  return lines;
}

/// Waits for a time, or until an interrupt.
void wait(double seconds) {
  const double end = steady_seconds() + seconds;
  while (!interrupted() && steady_seconds() < end) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

std::string describe_failure(const WorkerProcess& worker) {
  const std::string& text = worker.text();
  const std::size_t error = text.rfind("error: ");
  std::string what = error == std::string::npos ? text : text.substr(error + 7);
  while (!what.empty() && what.back() == '\n') what.pop_back();
  if (worker.code() >= 0) return what.empty() ? "exit code " + std::to_string(worker.code()) : what;
  std::string killed = std::string("ended by signal: ") + ::strsignal(-worker.code());
  if (worker.code() == -SIGKILL)
    killed += "; the system does that when memory runs out: fewer --jobs, or smaller models, need less";
  if (!what.empty()) killed += "; its last output: " + what;
  return killed;
}

}  // namespace

Sweep::Sweep(std::vector<GridPoint> points, SweepSettings settings, Listener& listener)
    : settings_(std::move(settings)), listener_(listener) {
  for (GridPoint& point : points) {
    SweepRun run;
    const std::filesystem::path folder = settings_.out / point.name;
    run.begun = std::filesystem::exists(folder);
    if (is_finished(folder)) run.state = State::found;
    run.position = runs_.size();
    run.point = std::move(point);
    runs_.push_back(std::move(run));
  }
}

std::size_t Sweep::count(State state) const {
  return static_cast<std::size_t>(
      std::count_if(runs_.begin(), runs_.end(), [&](const auto& r) { return r.state == state; }));
}

struct Sweep::Measurement {
  const Config* config;
  std::optional<Probe> probe;
  std::string error;
};

// Returns false if it was interrupted.
bool Sweep::measure(const Config& config, Measurement& measurement) {
  std::unique_ptr<Worker<Probe>> worker;
  for (int attempt = 1; !worker && !interrupted(); ++attempt) {
    try {
      worker = std::make_unique<Worker<Probe>>([&](const auto& send) {
        return exit_code_of([&] {
          send(probe(config, settings_.device, settings_.threads));
          return 0;
        });
      });
    } catch (const CannotStart& error) {
      tell_put_off(error.what());
      measurement.error = error.what();
      if (attempt == kMostStarts) return true;
      wait(kSecondsBetweenStarts);
    }
  }
  while (!interrupted() && worker->read()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (interrupted()) return false;
  if (worker->code() == 0) {
    measurement.probe = worker->report();
  } else {
    measurement.error = describe_failure(*worker);
  }
  return true;
}

bool Sweep::estimate() {
  std::map<std::string, Measurement> measurements;
  for (const SweepRun& run : runs_)
    if (run.state != State::found)
      measurements.try_emplace(probe_key(run.point.config), Measurement{&run.point.config, {}, {}});
  std::size_t done = 0;
  for (auto& [key, one] : measurements) {
    listener_.probing(done++, measurements.size());
    if (!measure(*one.config, one)) return false;
  }
  for (SweepRun& run : runs_) {
    if (run.state == State::found) continue;
    const Measurement& one = measurements.at(probe_key(run.point.config));
    run.error = one.error;
    if (one.probe) run.estimate = alma::estimate(run.point.config, *one.probe);
  }
  std::stable_sort(runs_.begin(), runs_.end(), [](const SweepRun& a, const SweepRun& b) {
    return (a.estimate ? a.estimate->seconds : 0) > (b.estimate ? b.estimate->seconds : 0);
  });
  return !interrupted();
}

void Sweep::fit_into(double seconds) {
  std::vector<const SweepRun*> in_order;
  for (const SweepRun& run : runs_)
    if (run.estimate) in_order.push_back(&run);
  std::sort(in_order.begin(), in_order.end(),
            [](const SweepRun* a, const SweepRun* b) { return a->position < b->position; });
  double room = seconds * settings_.jobs;
  std::set<std::size_t> too_long;
  for (const SweepRun* run : in_order) {
    const double one = run->estimate->seconds;
    if (one > room || one > seconds) {
      too_long.insert(run->position);
    } else {
      room -= one;
    }
  }
  std::erase_if(runs_, [&](const SweepRun& run) { return too_long.contains(run.position); });
}

bool Sweep::run() {
  bool stopping = false;
  for (;;) {
    if (!stopping && interrupted()) {
      stopping = true;
      for (const SweepRun& run : runs_)
        if (run.worker) run.worker->terminate();
    }
    if (!stopping) start_what_fits();
    wait_for_news();
    for (SweepRun& run : runs_)
      if (run.worker) follow(run);
    if (count(State::running) == 0) {
      if (stopping) return false;
      if (count(State::waiting) == 0 && count(State::elsewhere) == 0) return true;
    }
    look_elsewhere();
    listener_.tick();
  }
}

void Sweep::start_what_fits() {
  for (SweepRun& run : runs_) {
    if (count(State::running) >= static_cast<std::size_t>(settings_.jobs) || steady_seconds() < next_start_) return;
    if (run.state != State::waiting) continue;
    try {
      start(run);
      failed_starts_ = 0;
    } catch (const CannotStart& error) {
      put_off(error.what());
      if (failed_starts_ < kMostStarts) return;
      run.error = error.what();
      run.state = State::failed;
      listener_.ended(run);
    }
  }
}

// Active runs, or processes of others, may make room when they end. Without either, the runs fail after a few attempts.
void Sweep::put_off(const std::string& why) {
  tell_put_off(why);
  next_start_ = steady_seconds() + kSecondsBetweenStarts;
  failed_starts_ = count(State::running) > 0 ? 0 : failed_starts_ + 1;
}

void Sweep::tell_put_off(const std::string& why) {
  if (!std::exchange(told_, true)) listener_.put_off(why);
}

// Runs of other processes may be finished by now, or abandoned.
void Sweep::look_elsewhere() {
  if (steady_seconds() - last_look_ < kSecondsBetweenLooks) return;
  last_look_ = steady_seconds();
  for (SweepRun& run : runs_)
    if (run.state == State::elsewhere) run.state = State::waiting;
}

void Sweep::start(SweepRun& run) {
  RunOptions options;
  options.out = settings_.out / run.point.name;
  if (is_finished(options.out)) {
    run.state = State::found;
    listener_.ended(run);
    return;
  }
  options.config = run.point.config;
  options.device = settings_.device;
  options.threads = settings_.threads;
  options.mode = OpenMode::ensure;
  options.quiet = true;
  run.worker = std::make_unique<Worker<Progress>>([&](const auto& send) {
    options.listener = send;
    return exit_code_of([&] {
      try {
        return run_command(options);
      } catch (const HasWriter&) {
        return kElsewhere;
      }
    });
  });
  run.state = State::running;
  run.text_read = 0;
  run.started = steady_seconds();
}

void Sweep::follow(SweepRun& run) {
  const bool ended = !run.worker->read();
  for (const std::string& line : whole_lines(run.worker->text(), run.text_read))
    if (line.starts_with("warning: ")) listener_.warned(run, line);
  if (ended) end(run);
}

void Sweep::end(SweepRun& run) {
  const std::unique_ptr<Worker<Progress>> worker = std::move(run.worker);
  run.seconds += steady_seconds() - run.started;
  switch (worker->code()) {
    // If there was no progress, another process has finished it in the meantime.
    case 0: run.state = worker->report().mega_batches > 0 ? State::done : State::found; break;
    case kElsewhere: run.state = State::elsewhere; return;
    case 130:
      run.state = State::waiting;
      if (interrupted()) return;
      run.error = "was interrupted, and has saved";
      run.state = State::failed;
      break;
    default: run.error = describe_failure(*worker); run.state = State::failed;
  }
  listener_.ended(run);
}

void Sweep::wait_for_news() const {
  std::vector<pollfd> descriptors;
  for (const SweepRun& run : runs_)
    if (run.worker) descriptors.push_back({run.worker->text_descriptor(), POLLIN, 0});
  // The end of a process closes its pipe; everything else can wait for a tick.
  ::poll(descriptors.data(), descriptors.size(), kTickMilliseconds);
}

std::optional<double> Sweep::seconds_left() const {
  double left = 0, longest = 0, estimated = 0, spent = 0;
  for (const SweepRun& run : runs_) {
    if (!run.estimate) continue;
    double one = run.estimate->seconds;
    if (run.state == State::done && !run.begun) estimated += one, spent += run.seconds;
    if (run.state != State::waiting && run.state != State::running) continue;
    if (run.worker) {
      const Progress progress = run.worker->report();
      if (progress.samples_planned > 0) one *= 1 - progress.samples / progress.samples_planned;
    }
    left += one;
    longest = std::max(longest, one);
  }
  if (left == 0) return std::nullopt;
  return std::max(left / settings_.jobs, longest) * (estimated > 0 ? spent / estimated : 1);
}

}  // namespace alma
