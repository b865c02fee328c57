#include "alma/run/interrupt.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace alma {

namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2};
constexpr std::int64_t kOneRequest = 100'000'000;  // nanoseconds

// A signal handler may only touch lock-free atomics.
std::atomic<bool> caught{false};
std::array<std::atomic<std::int64_t>, NSIG> first_times{};  // in nanoseconds; 0: no signal yet
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

void take_note(int signal) {
  const int error = errno;
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec + 1;
  std::int64_t first = 0;
  if (first_times[static_cast<std::size_t>(signal)].compare_exchange_strong(first, now)) {
    caught.store(true);
  } else if (signal != SIGXCPU && now - first >= kOneRequest) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  errno = error;
}

void end_at_once(int) {
  constexpr char text[] = "warning: interrupted\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) ::_exit(130);
  ::_exit(130);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void handle_all(void (*handler)(int)) {
  for (const int signal : kSignals) {
    struct sigaction found {};
    ::sigaction(signal, nullptr, &found);
    if (found.sa_handler != SIG_IGN) handle(signal, handler);
  }
}

}  // namespace

void end_when_interrupted() { handle_all(end_at_once); }

void catch_interrupts() {
  handle_all(take_note);
  ::signal(SIGPIPE, SIG_IGN);
}

void catch_interrupt(int signal) { handle(signal, take_note); }

bool interrupted() { return caught.load(); }

}  // namespace alma
