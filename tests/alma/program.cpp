#include "tests/alma/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/files.h"

namespace alma::test {

namespace fs = std::filesystem;

Program::Program(fs::path folder, const std::vector<std::string>& arguments, const std::function<void()>& prepare)
    : folder_(std::move(folder)) {
  const std::string program = ALMA_BINARY_DIR "/alma";
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string out = folder_ / "stdout", err = folder_ / "stderr";
  process_ = ::fork();
  if (process_ != 0) return;
  if (::chdir(folder_.c_str()) != 0) ::_exit(99);
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
  if (prepare) prepare();
  ::execv(argv[0], argv.data());
  ::_exit(98);
}

Program::~Program() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

void Program::signal(int number) const { ::kill(process_, number); }

void Program::signal_group(int number) const { ::kill(-process_, number); }

bool Program::wait_until(const std::function<bool()>& condition) const {
  for (;;) {
    siginfo_t ended{};
    ::waitid(P_PID, static_cast<id_t>(process_), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (condition()) return true;  // looked at last, so that what the program did before its end counts
    if (ended.si_pid != 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool Program::catches(int number) const {
  std::ifstream status("/proc/" + std::to_string(process_) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (number - 1) & 1) != 0;
  return false;
}

Outcome Program::finish() {
  int status = 0;
  rusage used{};
  ::wait4(process_, &status, 0, &used);
  process_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_text(folder_ / "stdout").value_or(""),
          read_text(folder_ / "stderr").value_or(""), static_cast<double>(used.ru_maxrss) * 1024e-6};
}

Outcome run_alma(const fs::path& folder, const std::vector<std::string>& arguments, const std::function<void()>& prepare) {
  return Program(folder, arguments, prepare).finish();
}

void expect_failure(const Outcome& outcome, int code, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(outcome.err.substr(0, 7), "error: ") << outcome.err;
  for (const std::string& part : parts)
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n  not in: " << outcome.err;
}

std::string metrics_of(const fs::path& run) {
  std::string text;
  std::istringstream lines(read_text(run / "metrics.jsonl").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json record = nlohmann::json::parse(line);
    record.erase("seconds");
    text += record.dump() + "\n";
  }
  return text;
}

std::vector<std::string> small_run(const fs::path& folder, std::vector<std::string> extra) {
  const fs::path config = folder / "small.toml";
  std::ofstream(config)
      << "[stream]\ndataset = \"synthetic-images\"\nsynthetic_train = 600\nsynthetic_test = 100\n"
         "mega_batches = 6\n[learner]\nwait = 2\n[model]\nwidth = 4\n[train]\nmax_epochs = 2\nbatch_size = 32\n";
  std::vector<std::string> arguments = {"run", config.string(), "--device", "cpu", "--threads", "1"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return arguments;
}

}  // namespace alma::test
