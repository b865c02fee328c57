// Run directories, and all that a report makes of them. No directory ends the report of the others. Where the text of the
// result is empty it is one that agrees with the records.
#include "alma/report/run_records.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "alma/report/report.h"
#include "alma/report/tensorboard.h"
#include "alma/run/run_directory.h"
#include "base/checksum.h"
#include "tests/fuzz/records.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

namespace fs = std::filesystem;

const std::string kConfig = "[stream]\nmega_batches = 3\n";

std::string result_of(const std::string& config, const std::string& metrics) try {
  const Config read = parse_config(config, "fuzz");
  nlohmann::ordered_json result = to_json(aggregate(parse_metrics(metrics, "fuzz"), read.learner.wait));
  for (const char* name : {"device", "level", "version"}) result[name] = "fuzz";
  result["seconds"] = 1.5;
  result["metrics_sha256"] = sha256(metrics);
  return result.dump();
} catch (const Error&) {
  return "{}";
}

// Vega's scripts, which say nothing about the runs.
fs::path vega() {
  static const fs::path place = [] {
    for (const char* name :
         {"util", "time", "format", "canvas", "loader", "statistics", "event-selector", "expression", "scale", "dataflow",
          "scenegraph", "selection", "functions", "runtime", "transforms", "view-transforms", "encode", "parser", "view"})
      write_file("vega/vega-" + std::string(name) + ".min.js", "");
    return fs::path(folder()) / "vega";
  }();
  return place;
}

void write_run(const std::string& name, const std::string& config, const std::string& metrics, std::string_view result) {
  write_file("runs/" + name + "/config.toml", config);
  write_file("runs/" + name + "/metrics.jsonl", metrics);
  write_file("runs/" + name + "/result.json", result.empty() ? result_of(config, metrics) : result);
}

void show(const RunCollection& collection) {
  for (const RunRecord& run : collection.runs) require(!tensorboard_events(run).empty(), "no events");
  require(!report_page(collection, vega()).empty(), "no page");
  if (!collection.runs.empty()) require(!report_csv(collection.runs).empty(), "no table");
}

void read(std::string_view input) try {
  static const fs::path runs = [] {  // beside the run is one that is whole, often another seed of the same configuration
    write_run("whole", "seed = 77\n" + kConfig, metrics_text(3), "");
    return fs::path(folder()) / "runs";
  }();
  const auto parts = parts_of<3>(input);
  write_run("any", std::string(parts[0]), std::string(parts[1]), parts[2]);
  RunCollection collection = read_runs(std::array{runs});
  require(collection.runs.size() + collection.left_out.size() == 2, "a run is neither shown nor left out");
  require(std::ranges::any_of(collection.runs, [](const RunRecord& run) { return run.config.seed == 77; }),
          "a whole run is left out");
  if (!collection.left_out.empty()) collection.runs.clear();  // the page of the other says nothing new
  show(collection);
} catch (const Error& error) {
  require(false, std::string("an error: ") + error.what());
}

std::vector<std::string> seeds() {
  const std::string between(kBetween);
  const std::string language = "[stream]\ndataset = \"text\"\nmega_batches = 3\n[model]\narchitecture = \"switch\"\n";
  return {kConfig + between + metrics_text(3) + between,
          kConfig + between + metrics_text(3) + between + result_of(kConfig, metrics_text(3)),
          language + between + metrics_text(3, true) + between,
          kConfig + "[learner]\nmethod = \"ens\"\nwait = 3\n" + between + metrics_text(3) + between,
          kConfig + between + metrics_text(2) + between + "{\"seconds\": 1e999}"};
}

const Registered target{{"run_records", ErrorKind::usage, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
