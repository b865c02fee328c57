#include "alma/sweep/sweep.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "alma/run/interrupt.h"
#include "alma/run/run.h"
#include "alma/run/run_record.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/exit_code.h"

namespace alma {

namespace {

using State = SweepRun::State;

constexpr int kElsewhere = 75;              // exit code of a worker whose run another process has
constexpr double kSecondsBetweenLooks = 2;  // at runs of other processes
constexpr int kTickMilliseconds = 200;

/// Lines of `text` that have ended, from `from` on, which moves behind them.
std::vector<std::string> whole_lines(const std::string& text, std::size_t& from) {
  std::vector<std::string> lines;
  for (std::size_t end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    lines.push_back(text.substr(from, end - from));
  return lines;
}

std::string describe_failure(const WorkerProcess& worker) {
  const std::string& text = worker.text();
  const std::size_t error = text.rfind("error: ");
  std::string what = error == std::string::npos ? text : text.substr(error + 7);
  while (!what.empty() && what.back() == '\n') what.pop_back();
  if (worker.code() >= 0) return what.empty() ? "exit code " + std::to_string(worker.code()) : what;
  std::string killed = std::string("ended by signal: ") + ::strsignal(-worker.code());
  if (!what.empty()) killed += "; its last words: " + what;
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

void Sweep::estimate() {
  struct Measurement {
    const Config* config;
    std::unique_ptr<Worker<Probe>> worker;
    std::optional<Probe> probe;
    std::string error;
  };
  std::map<std::string, Measurement> measurements;
  for (const SweepRun& run : runs_)
    if (run.state != State::found)
      measurements.try_emplace(probe_key(run.point.config), Measurement{&run.point.config, {}, {}, {}});
  std::size_t done = 0;
  for (auto& [key, one] : measurements) {
    listener_.probing(done++, measurements.size());
    one.worker = std::make_unique<Worker<Probe>>([&, config = one.config](const auto& send) {
      return exit_code_of([&] {
        send(probe(*config, settings_.device, settings_.threads));
        return 0;
      });
    });
    while (one.worker->read() && !interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (interrupted()) return;
    if (one.worker->code() == 0) {
      one.probe = one.worker->report();
    } else {
      one.error = describe_failure(*one.worker);
    }
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
    for (SweepRun& run : runs_) {
      if (stopping || count(State::running) >= static_cast<std::size_t>(settings_.jobs)) break;
      if (run.state == State::waiting) start(run);
    }
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

// What another process has may be done by now, or have been left.
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
    // Without any progress, another process has ended it in the meantime.
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
  // The end of a process closes its pipe; all else can wait for a tick.
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
