#include "alma/console/fetch_console.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace alma {
namespace {

struct Terminal {
  explicit Terminal(bool terminal) {
    options.out = &out;
    options.terminal = terminal;
    options.now = [this] { return time; };
  }
  std::string take() {
    const std::string text = out.str();
    out.str("");
    return text;
  }
  std::ostringstream out;
  double time = 1000;
  ConsoleOptions options;
};

TEST(FetchConsole, BytesPercentAndRate) {
  Terminal terminal(true);
  FetchConsole console(terminal.options);
  console.progress("images.gz", 5000000, 20000000);  // resumed: what was there before does not count as speed
  EXPECT_EQ(terminal.take(), "\rimages.gz  5 MB of 20 MB  25%\x1b[K");
  terminal.time += 2;
  console.progress("images.gz", 7500000, 20000000);
  EXPECT_EQ(terminal.take(), "\rimages.gz  7.5 MB of 20 MB  37%  1.25 MB/s  10s left\x1b[K");
  terminal.time += 1;
  console.progress("images.gz", 8750000, 20000000, "7 tokens");
  EXPECT_EQ(terminal.take(), "\rimages.gz  8.75 MB of 20 MB  43%  1.25 MB/s  9.0s left  7 tokens\x1b[K");
  console.progress("labels.gz", 500, -1);
  EXPECT_EQ(terminal.take(), "\rlabels.gz  500 B\x1b[K");
  console.say("labels.gz from http://a/");
  EXPECT_EQ(terminal.take(), "\nlabels.gz from http://a/\n");
}

TEST(FetchConsole, AtMostTenLinesASecondAndNoneWithoutATerminal) {
  for (const bool is_terminal : {true, false}) {
    Terminal terminal(is_terminal);
    FetchConsole console(terminal.options);
    for (int i = 1; i < 1000; ++i, terminal.time += 0.001) console.progress("images.gz", i, 100000);
    const std::string text = terminal.take();
    const auto lines = std::count(text.begin(), text.end(), '\r');
    EXPECT_GE(lines, is_terminal ? 9 : 0);
    EXPECT_LE(lines, is_terminal ? 11 : 0);
  }
}

TEST(FetchConsole, FitsTheTerminal) {
  Terminal terminal(true);
  terminal.options.columns = 20;
  FetchConsole console(terminal.options);
  console.progress("train-images-idx3-ubyte.gz", 5, 10);
  EXPECT_EQ(terminal.take(), "\rtrain-images-idx3-u\x1b[K");
}

TEST(FetchConsole, EndsTheLineThatStands) {
  Terminal terminal(true);
  {
    FetchConsole console(terminal.options);
    console.progress("images.gz", 5, -1);
    terminal.take();
  }
  EXPECT_EQ(terminal.take(), "\n");
}

TEST(FetchConsole, Quiet) {
  Terminal terminal(true);
  terminal.options.out = nullptr;
  FetchConsole console(terminal.options);
  console.progress("images.gz", 5, 10);
  console.say("line");
  console.end_line();
  EXPECT_EQ(terminal.take(), "");
}

}  // namespace
}  // namespace alma
