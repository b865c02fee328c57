#include "alma/sweep/worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <utility>

#include "alma/run/interrupt.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace {

constexpr double kSecondsBetweenReports = 0.2;

// Tells a worker to end. A signal of its own: the usual ones may be ignored, and whoever sends them to all processes of a
// sweep, as a terminal or a batch system does, must not send a worker its second one through the sweep.
int stop_signal() { return SIGRTMIN; }

[[noreturn]] void fail_to(const char* what, int error) {
  throw CannotStart(ErrorKind::failed, std::string("cannot ") + what + ": " + system_error_text(error) +
                                           "; the limits on processes or open files (ulimit -u, -n) may be too low");
}

/// Both ends are closed at the end, unless taken.
struct Pipe {
  int read = -1, write = -1;

  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_to("make a pipe", errno);
    read = ends[0], write = ends[1];
    ::fcntl(read, F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    if (read >= 0) ::close(read);
    ::close(write);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int take_read() { return std::exchange(read, -1); }
};

template <class Work>
[[noreturn]] void run(pid_t parent, int text, const Work& work) {
  catch_interrupt(stop_signal());
  ::prctl(PR_SET_PDEATHSIG, stop_signal());
  if (::getppid() != parent) ::_exit(1);
  ::signal(SIGPIPE, SIG_IGN);  // from a killed parent: there is still time to save
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere < 0 || ::dup2(nowhere, STDIN_FILENO) < 0 || ::dup2(nowhere, STDOUT_FILENO) < 0 ||
      ::dup2(text, STDERR_FILENO) < 0)
    ::_exit(1);
  const int code = work();
  std::cout << std::flush;
  std::cerr << std::flush;
  ::_exit(code);
}

}  // namespace

WorkerProcess::WorkerProcess(std::size_t report_bytes, const std::function<int(const Send&)>& work)
    : report_bytes_(report_bytes) {
  Pipe reports, text;
  ::fcntl(reports.write, F_SETFL, O_NONBLOCK);
  std::cout << std::flush;
  std::cerr << std::flush;
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ < 0) fail_to("start a process", errno);
  if (process_ == 0)
    run(parent, text.write, [&] {
      double last = 0;
      return work([&](const void* report) {
        const double time = steady_seconds();
        if (time - last < kSecondsBetweenReports) return;
        last = time;
        // If the pipe is full, this report is lost and the work continues.
        if (::write(reports.write, report, report_bytes) < 0) return;
      });
    });
  reports_ = reports.take_read(), text_ = text.take_read();
}

WorkerProcess::~WorkerProcess() {
  ::close(reports_);
  ::close(text_);
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

bool WorkerProcess::read() {
  if (process_ <= 0) return false;
  int status = 0;
  // Waits for the process and not for the end of the pipes, which children of the work may hold open.
  const bool ended = ::waitpid(process_, &status, WNOHANG) == process_;
  std::string report(report_bytes_, '\0');
  while (::read(reports_, report.data(), report_bytes_) == static_cast<ssize_t>(report_bytes_)) latest_ = report;
  char piece[4096];
  for (ssize_t got; (got = ::read(text_, piece, sizeof piece)) > 0;) said_.append(piece, static_cast<std::size_t>(got));
  if (!ended) return true;
  process_ = -1;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return false;
}

void WorkerProcess::terminate() const {
  if (process_ > 0) ::kill(process_, stop_signal());
}

}  // namespace alma
