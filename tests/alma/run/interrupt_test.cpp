#include "alma/run/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

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

TEST(InterruptDeathTest, TheFirstSignalSetsAFlag) {
  expect_flag_set_by(SIGINT);
  expect_flag_set_by(SIGTERM);
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        catch_interrupts();
        std::raise(SIGINT);
        std::raise(SIGINT);
        std::_Exit(42);
      },
      testing::KilledBySignal(SIGINT), "");
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
