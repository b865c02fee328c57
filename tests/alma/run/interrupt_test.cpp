#include "alma/run/interrupt.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace alma {
namespace {

// Signals are process-wide, so each case has a process of its own; it ends with 42 if all went as expected.
void expect_flag_set_by(int signal) {
  EXPECT_EXIT(
      {
        catch_interrupts();
        if (interrupted()) std::_Exit(1);
        std::raise(signal);
        std::_Exit(interrupted() ? 42 : 2);
      },
      testing::ExitedWithCode(42), "");
}

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2};

TEST(InterruptDeathTest, TheFirstSignalSetsAFlag) {
  for (const int signal : kSignals) expect_flag_set_by(signal);
}

void raise_later(int signal) {
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  std::raise(signal);
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1})
    EXPECT_EXIT(
        {
          catch_interrupts();
          std::raise(signal);
          raise_later(signal);
          std::_Exit(42);
        },
        testing::KilledBySignal(signal), "");
}

// As `timeout` sends it to its child and then to the group: within 0.1 s. A machine may be too busy for that, and then it is
// tried again.
TEST(InterruptDeathTest, OneRequestThatArrivesTwiceIsOne) {
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      catch_interrupts();
      std::raise(SIGTERM);
      std::raise(SIGTERM);
      std::_Exit(interrupted() ? 42 : 2);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(100)) continue;
    ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 42);
    return;
  }
}

// The kernel sends it every second once the soft limit is reached, and kills at the hard one.
TEST(InterruptDeathTest, TheLimitOfProcessorTimeMayBeRepeated) {
  EXPECT_EXIT(
      {
        catch_interrupts();
        std::raise(SIGXCPU);
        raise_later(SIGXCPU);
        std::_Exit(interrupted() ? 42 : 2);
      },
      testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, WhatWasIgnoredStaysIgnored) {
  for (const int signal : kSignals)
    EXPECT_EXIT(
        {
          ::signal(signal, SIG_IGN);
          end_when_interrupted();
          std::raise(signal);
          catch_interrupts();
          std::raise(signal);
          std::_Exit(interrupted() ? 1 : 42);
        },
        testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, WhatWasBlockedIsLetThrough) {
  EXPECT_EXIT(
      {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        catch_interrupts();
        std::raise(SIGTERM);
        std::_Exit(interrupted() ? 42 : 2);
      },
      testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, WithoutAnythingToSaveItIsTheEndAtOnce) {
  for (const int signal : kSignals)
    EXPECT_EXIT(
        {
          end_when_interrupted();
          std::raise(signal);
          std::_Exit(1);
        },
        testing::ExitedWithCode(130), "warning: interrupted");
}

TEST(InterruptDeathTest, AReaderThatIsGoneDoesNotEndTheWork) {
  EXPECT_EXIT(
      {
        catch_interrupts();
        std::raise(SIGPIPE);
        std::_Exit(interrupted() ? 1 : 42);
      },
      testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, OneOfEachKindDoesNot) {
  EXPECT_EXIT(
      {
        catch_interrupts();
        std::raise(SIGINT);
        std::raise(SIGTERM);
        std::_Exit(interrupted() ? 42 : 2);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace alma
