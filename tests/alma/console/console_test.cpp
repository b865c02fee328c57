#include "alma/console/console.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace alma {
namespace {

struct Screen {
  explicit Screen(bool terminal, bool quiet = false) {
    options.out = quiet ? nullptr : &out;
    options.err = &err;
    options.terminal = terminal;
    options.now = [this] { return time; };
  }
  std::ostringstream out, err;
  double time = 1000;
  ConsoleOptions options;
};

Progress at(std::int64_t t, double samples, bool done = false) { return {t, 500, 3, 100, 0.25, 1.5, samples, 10000, done}; }

std::size_t count(const std::string& text, char c) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

TEST(Console, ProgressLineSaysWhereTheRunIs) {
  Screen screen(false);
  Console console(screen.options);
  console.progress(at(7, 1000));  // resumed: what was done before does not count as speed
  screen.time += 10;
  console.progress(at(7, 4000));
  EXPECT_EQ(screen.out.str(), "mega-batch 7/500  epoch 3/100  error 0.2500  CER 1.500  300 samples/s  20s left\n");
}

TEST(Console, ALanguageModelHasAPerplexityAndMayBeSlow) {
  Screen screen(false);
  Console console(screen.options);
  Progress progress = at(2, 0);
  progress.error = 75.906;
  progress.bits_per_byte = 1.9406;
  progress.of_language = true;
  console.progress(progress);
  screen.time += 10;
  progress.samples = 7;
  progress.samples_planned = 14;
  console.progress(progress);
  EXPECT_EQ(screen.out.str(), "mega-batch 2/500  epoch 3/100  ppl 75.91, 1.941 bits/byte  0.70 samples/s  10s left\n");
}

TEST(Console, WithoutATerminalLinesAreRare) {
  Screen screen(false);
  Console console(screen.options);
  for (int i = 0; i <= 800; ++i, screen.time += 0.125) console.progress(at(1, i));  // 100 s of steps
  EXPECT_EQ(count(screen.out.str(), '\n'), 10u);
  screen.out.str("");
  for (int i = 0; i < 1280; ++i, screen.time += 1.0 / 128) console.progress(at(i, i, true));  // 10 s of short mega-batches
  EXPECT_GE(count(screen.out.str(), '\n'), 9u);
  EXPECT_LE(count(screen.out.str(), '\n'), 10u);
  EXPECT_EQ(screen.out.str().find('\r'), std::string::npos);
  EXPECT_EQ(screen.out.str().find('\x1b'), std::string::npos);
}

TEST(Console, OnATerminalTheLineIsRedrawnInPlace) {
  Screen screen(true);
  screen.options.columns = 40;
  Console console(screen.options);
  for (int i = 0; i < 1000; ++i, screen.time += 0.001) console.progress(at(1, i));
  const std::string text = screen.out.str();
  EXPECT_EQ(count(text, '\n'), 0u);
  EXPECT_GE(count(text, '\r'), 9u);
  EXPECT_LE(count(text, '\r'), 11u);
  for (std::size_t start = text.find('\r'); start != text.npos; start = text.find('\r', start + 1))
    EXPECT_LE(text.find("\x1b[K", start) - start - 1, 39u);
  console.warn("a message");
  EXPECT_EQ(screen.out.str().back(), '\n');  // the message does not overwrite the line
  EXPECT_EQ(screen.err.str(), "warning: a message\n");
}

TEST(Console, QuietSaysWarningsOnly) {
  Screen screen(true, true);
  Console console(screen.options);
  console.start(Config{}, RunFacts{});
  console.progress(at(1, 1));
  console.say("something");
  console.finish(Aggregates{}, std::vector<MegaBatchRecord>(3), "runs/x");
  console.end_line();
  console.warn("a message");
  EXPECT_EQ(screen.out.str(), "");
  EXPECT_EQ(screen.err.str(), "warning: a message\n");
}

TEST(Console, StartShowsEverySettingAndMarksTheUnusual) {
  Screen screen(false);
  Console console(screen.options);
  Config config;
  config.model.width = 17;
  RunFacts facts;
  facts.backend = {"cpu", "x86-64-v3", "Some Processor", "Eigen 3.4.0", true, 0, "no driver"};
  facts.threads = 3;
  facts.train_samples = 54000;
  facts.validation_samples = 6000;
  facts.test_samples = 10000;
  facts.classes = 10;
  facts.parameters = 7950;
  facts.macs_per_sample = 7920;
  facts.run_directory = "runs/x-seed0";
  console.start(config, facts);
  const std::string text = screen.out.str();
  for (const auto& [key, value, is_default] : list_config(config)) {
    const std::size_t line = text.find((is_default ? "    " : "  * ") + key + ' ');
    ASSERT_NE(line, text.npos) << key;
    const std::string shown = text.substr(line, text.find('\n', line) - line);
    EXPECT_EQ(shown.substr(shown.size() - value.size()), value);
  }
  for (const char* part :
       {"cpu x86-64-v3, Some Processor", "54,000 training", "6,000 validation", "10,000 test", "10 classes",
        "7,950 parameters", "7920 MACs", "runs/x-seed0", "device auto is cpu        no driver"})
    EXPECT_NE(text.find(part), text.npos) << part;
}

TEST(Console, FinishShowsResultsPlotAndFolder) {
  Screen screen(false);
  Console console(screen.options);
  Aggregates sums;
  sums.cer = 54.5512;
  sums.final_error = 0.4704;
  sums.comp_macs = 42'770'000'000;
  sums.paper_cer = 2696.4;
  std::vector<MegaBatchRecord> records(100);
  for (MegaBatchRecord& record : records) record.error = 0.5;
  records.back().seconds = 61;
  console.finish(sums, records, "runs/x-seed0");
  const std::string text = screen.out.str();
  for (const char* part : {"54.5512", "2696.4", "0.4704", "42.77 G", "1m 01s", "runs/x-seed0", "test error", "mega-batch"})
    EXPECT_NE(text.find(part), text.npos) << part;
  screen.out.str("");
  sums.paper_cer.reset();
  console.finish(sums, records, "runs/x-seed0");
  EXPECT_EQ(screen.out.str().find("as in the figures"), std::string::npos);
}

}  // namespace
}  // namespace alma
