#include "alma/sweep/sweep_console.h"

#include <algorithm>
#include <iostream>

#include "alma/console/text.h"
#include "base/error.h"

namespace alma {

namespace {

using State = SweepRun::State;

std::string megabytes(double bytes) { return grouped(static_cast<std::int64_t>(bytes / 1e6)) + " MB"; }

}  // namespace

void SweepConsole::begin(const Sweep& sweep, const std::filesystem::path& out) {
  sweep_ = &sweep;
  std::size_t names = 0;
  for (const SweepRun& run : sweep.runs()) names = std::max(names, run.point.name.size());
  name_width_ = names;
  if (options_.out == nullptr) return;
  const std::size_t all = sweep.runs().size(), found = sweep.count(State::found);
  *options_.out << all << " runs in " << out.string() << ": " << found << " already finished, " << all - found << " to do";
  if (const auto left = sweep.seconds_left()) *options_.out << ", about " << duration(*left);
  *options_.out << '\n' << std::flush;
}

void SweepConsole::probing(std::size_t done, std::size_t all) {
  if (options_.out == nullptr || !options_.terminal) return;
  draw({"measuring the cost of a step: " + std::to_string(done + 1) + " of " + std::to_string(all) + " learners"});
}

void SweepConsole::warned(const SweepRun& run, const std::string& line) {
  erase();
  *options_.err << run.point.name << ": " << line << '\n' << std::flush;
}

void SweepConsole::put_off(const std::string& why) {
  erase();
  *options_.err << "warning: " << why << "; runs wait, and are tried again when there is room\n" << std::flush;
}

void SweepConsole::ended(const SweepRun& run) {
  erase();
  const std::string name = padded(run.point.name, name_width_);
  if (run.state == State::failed) {
    *options_.err << name << "  FAILED  " << run.error << '\n' << std::flush;
  } else if (options_.out != nullptr) {
    *options_.out << name << (run.state == State::found ? "  done elsewhere" : "  done in " + duration(run.seconds));
    if (!options_.terminal) *options_.out << "   (" << summary() << ")";
    *options_.out << '\n' << std::flush;
  }
}

void SweepConsole::tick() {
  if (options_.out == nullptr || !options_.terminal) return;
  std::vector<std::string> lines;
  for (const SweepRun& run : sweep_->runs())
    if (run.worker) lines.push_back(under_way(run));
  lines.push_back(summary());
  draw(lines);
}

void SweepConsole::erase() {
  if (drawn_ == 0) return;
  *options_.out << "\r\x1b[" << drawn_ << "A\x1b[J" << std::flush;  // up so many lines, and clear from there
  drawn_ = 0;
}

std::string SweepConsole::under_way(const SweepRun& run) const {
  const Progress p = run.worker->report();
  std::string line = padded(run.point.name, name_width_) + "  ";
  if (p.mega_batches == 0) return line + "starting";
  line += std::to_string(static_cast<int>(100 * p.samples / std::max(1.0, p.samples_planned))) + "%  mega-batch " +
          std::to_string(p.t) + "/" + std::to_string(p.mega_batches);
  if (p.error) line += "  error " + fixed(*p.error, 4);
  return line + "  CER " + fixed(p.cer, 3);
}

std::string SweepConsole::summary() const {
  const auto count = [&](State state) { return sweep_->count(state); };
  std::string line = std::to_string(count(State::done) + count(State::found)) + " of " +
                     std::to_string(sweep_->runs().size()) + " done, " + std::to_string(count(State::running)) +
                     " running, " + std::to_string(count(State::waiting)) + " to come";
  if (count(State::elsewhere) > 0) line += ", " + std::to_string(count(State::elsewhere)) + " by other processes";
  if (count(State::failed) > 0) line += ", " + std::to_string(count(State::failed)) + " failed";
  if (const auto left = sweep_->seconds_left()) line += ", " + duration(*left) + " left";
  return line;
}

void SweepConsole::draw(const std::vector<std::string>& lines) {
  erase();
  for (const std::string& line : lines)
    *options_.out << line.substr(0, static_cast<std::size_t>(options_.columns - 1)) << '\n';
  *options_.out << std::flush;
  drawn_ = lines.size();
}

bool SweepConsole::run(Sweep& sweep, const std::filesystem::path& out) {
  erase();
  begin(sweep, out);
  const bool complete = sweep.run();
  erase();
  if (!complete) return false;
  const std::size_t failed = sweep.count(State::failed);
  if (failed > 0)
    fail(ErrorKind::failed, failed, " of ", sweep.runs().size(),
         " runs failed, see above; the same command tries them again");
  return true;
}

int SweepConsole::interrupted() {
  erase();
  *options_.err << "warning: interrupted and saved; the same command continues\n" << std::flush;
  return 130;
}

void SweepConsole::print_grid(const Sweep& sweep, int jobs) {
  erase();
  std::size_t width = 0;
  for (const SweepRun& run : sweep.runs()) width = std::max(width, run.point.name.size());
  Estimate sum;
  for (const SweepRun& run : sweep.runs()) {
    std::cout << padded(run.point.name, width) << "  ";
    if (run.state == State::found) {
      std::cout << "finished\n";
      continue;
    }
    std::cout << (run.begun ? "begun     " : "new       ");
    if (!run.estimate) {
      std::cout << "cannot run: " << run.error << '\n';
      continue;
    }
    const Estimate& e = *run.estimate;
    std::cout << padded(scaled(e.train_macs) + " MACs", 16) << padded(megabytes(e.bytes), 12) << duration(e.seconds) << '\n';
    sum.train_macs += e.train_macs;
    sum.seconds += e.seconds;
    sum.bytes = std::max(sum.bytes, e.bytes);
  }
  std::cout << sweep.runs().size() << " runs, " << sweep.count(State::found) << " finished; left: " << scaled(sum.train_macs)
            << " MACs, at most " << megabytes(sum.bytes * jobs) << ", about " << duration(sweep.seconds_left().value_or(0))
            << " with --jobs " << jobs << '\n';
}

}  // namespace alma
