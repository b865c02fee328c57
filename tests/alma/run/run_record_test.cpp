#include "alma/run/run_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "alma/run/run_directory.h"
#include "base/checksum.h"
#include "base/files.h"
#include "tests/data/files.h"

namespace alma {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

std::string text_of(const fs::path& path) { return read_text(path).value(); }

/// A finished run of two mega-batches.
fs::path finished_run(const fs::path& path) {
  Config config;
  config.stream.mega_batches = 2;
  RunDirectory directory(path, config, OpenMode::create);
  std::vector<MegaBatchRecord> records(2);
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].t = static_cast<std::int64_t>(i) + 1;
    records[i].error = 0.5 / static_cast<double>(i + 1);
    directory.append(records[i]);
  }
  nlohmann::ordered_json result = to_json(aggregate(records, 1));
  for (const char* key : {"device", "level", "version"}) result[key] = "x";
  result["seconds"] = 1.5;
  directory.write_result(result);
  return path;
}

TEST(RunRecord, AResultAloneDoesNotFinishARun) {
  test::TemporaryFolder folder;
  const fs::path run = finished_run(folder / "run");
  EXPECT_TRUE(is_finished(run));
  EXPECT_EQ(read_finished_run(run)->records.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(text_of(run / "result.json")).at("metrics_sha256"),
            sha256(text_of(run / "metrics.jsonl")));
  int number = 0;
  const auto expect_unfinished = [&](const std::string& part, const std::function<void(const fs::path&)>& change) {
    const fs::path copy = folder / ("copy" + std::to_string(++number));
    fs::copy(run, copy);
    change(copy);
    expect_error(ErrorKind::data, {copy.string(), part}, [&] { read_finished_run(copy); });
    EXPECT_FALSE(is_finished(copy)) << part;
  };
  const auto edit = [](const char* file, const std::function<void(std::string&)>& change) {
    return [=](const fs::path& path) {
      std::string text = text_of(path / file);
      change(text);
      std::ofstream(path / file, std::ios::binary) << text;
    };
  };
  expect_unfinished("not the result", edit("result.json", [](std::string& text) { text.clear(); }));
  expect_unfinished("not the result", edit("result.json", [](std::string& text) { text.resize(text.size() / 2); }));
  expect_unfinished("not the result", edit("result.json", [](std::string& text) { text = "[]"; }));
  expect_unfinished("cer is",
                    edit("result.json", [](std::string& text) { text.insert(text.find(R"("cer": 0)") + 9, "1"); }));
  const std::pair<const char*, const char*> beyond[] = {
      {"1e309", "not JSON"}, {"null", "a finite number"}, {"18446744073709551615", "cer is"}};
  for (const auto& wrong : beyond)
    expect_unfinished(wrong.second, edit("result.json", [&](std::string& text) {
                        const std::size_t begin = text.find("\"cer\": ") + 7;
                        text.replace(begin, text.find(',', begin) - begin, wrong.first);
                      }));
  expect_unfinished("t is 9223372036854775808", edit("metrics.jsonl", [](std::string& text) {
                      text.replace(text.find("\"t\":1"), 5, "\"t\":9223372036854775808");
                    }));
  expect_unfinished("is missing", [](const fs::path& path) { fs::remove(path / "metrics.jsonl"); });
  expect_unfinished("the last line is incomplete", [](const fs::path& path) {
    fs::resize_file(path / "metrics.jsonl", fs::file_size(path / "metrics.jsonl") - 1);
  });
  expect_unfinished("1 mega-batches", edit("metrics.jsonl", [](std::string& text) { text.resize(text.find('\n') + 1); }));
  expect_unfinished("was changed", edit("metrics.jsonl", [](std::string& text) {
                      text.replace(text.find(R"("epochs":0)"), 10, R"("epochs":1)");
                    }));
  expect_unfinished("a named pipe", [](const fs::path& path) {
    fs::remove(path / "metrics.jsonl");
    ASSERT_EQ(::mkfifo((path / "metrics.jsonl").c_str(), 0600), 0);
  });
  EXPECT_TRUE(is_finished(run));
}

}  // namespace
}  // namespace alma
