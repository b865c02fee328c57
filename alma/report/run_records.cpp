#include "alma/report/run_records.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <set>

#include "alma/config/kinds.h"
#include "alma/run/run_directory.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  fail(ErrorKind::data, file.string(), ": ", what);
}

/// result.json must say what the records give.
void check_measure(const fs::path& file, const std::string& name, const nlohmann::json& found, double expected) {
  const double value = found.get<double>();
  if (!(std::abs(value - expected) <= 1e-9 * expected))
    damaged(file, name + " is " + std::to_string(value) + ", the records in metrics.jsonl give " + std::to_string(expected));
}

void check_measures(const fs::path& file, const nlohmann::json& result, const Aggregates& measures) {
  if (!measures.of_language()) return check_measure(file, "cer", result.at("cer"), measures.cer);
  check_measure(file, "mean_ppl", result.at("mean_ppl"), measures.mean_ppl);
  const auto found = result.at("ppl").get<std::vector<double>>();
  if (found.size() != measures.ppl.size())
    damaged(file,
            "ppl has " + std::to_string(found.size()) + " values, metrics.jsonl " + std::to_string(measures.ppl.size()));
  for (std::size_t i = 0; i < found.size(); ++i)
    check_measure(file, "ppl of mega-batch " + std::to_string(i + 1), found[i], measures.ppl[i]);
}

RunRecord read_run(const fs::path& folder) {
  RunRecord run;
  run.folder = folder;
  run.config = read_run_config(folder);
  const fs::path result_file = folder / "result.json";
  const auto text = read_text(result_file);
  if (!text) fail(ErrorKind::data, "not finished; go on with alma run --resume --out ", folder.string());
  run.records = read_metrics(folder);
  if (static_cast<std::int64_t>(run.records.size()) != run.config.stream.mega_batches)
    damaged(folder / "metrics.jsonl", std::to_string(run.records.size()) + " mega-batches, config.toml has " +
                                          std::to_string(run.config.stream.mega_batches));
  run.measures = aggregate(run.records, run.config.learner.wait);
  if (run.measures.of_language() != (data_kind(run.config).input == Input::text))
    damaged(folder / "metrics.jsonl", std::string(run.measures.of_language() ? "perplexities" : "errors") +
                                          ", which a run with stream.dataset = \"" + run.config.stream.dataset +
                                          "\" does not have");
  try {
    const nlohmann::json result = nlohmann::json::parse(*text);
    result.at("seconds").get_to(run.seconds);
    result.at("device").get_to(run.device);
    result.at("level").get_to(run.level);
    result.at("version").get_to(run.version);
    check_measures(result_file, result, run.measures);
  } catch (const nlohmann::json::exception& error) {
    damaged(result_file, std::string("not the result of a run: ") + error.what());
  }
  return run;
}

bool looks_like_run(const fs::path& folder) {
  return fs::exists(folder / "config.toml") || fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "result.json");
}

// Run directories at or below `folder`; they do not hold others. What cannot be looked into is left out.
void find_runs(const fs::path& folder, std::vector<fs::path>& found, std::vector<LeftOut>& left_out) try {
  if (looks_like_run(folder)) {
    found.push_back(folder);
    return;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !entry.is_symlink()) find_runs(entry.path(), found, left_out);
} catch (const fs::filesystem_error& error) {
  left_out.push_back({folder, "cannot be looked into: " + error.code().message()});
}

// In the order of the paths, and each folder once, whatever its names.
void order(std::vector<fs::path>& folders) {
  std::sort(folders.begin(), folders.end());
  std::set<fs::path> known;
  std::erase_if(folders, [&](const fs::path& folder) { return !known.insert(fs::canonical(folder)).second; });
}

// No seed counts twice: of runs with the same configuration the first is kept.
void leave_out_copies(RunCollection& collection) {
  std::map<std::string, fs::path> known;
  std::erase_if(collection.runs, [&](const RunRecord& run) {
    const auto [first, is_new] = known.try_emplace(outcome_key(run.config), run.folder);
    if (!is_new) collection.left_out.push_back({run.folder, "the same configuration and seed as " + first->second.string()});
    return !is_new;
  });
}

}  // namespace

std::string outcome_key(Config config) {
  config.train.checkpoint_seconds = Config::Train{}.checkpoint_seconds;
  return write_config(config);
}

RunCollection read_runs(std::span<const fs::path> folders) {
  RunCollection collection;
  std::vector<fs::path> found;
  for (const fs::path& folder : folders) {
    if (!fs::is_directory(folder))
      fail(ErrorKind::usage, folder.string(), fs::exists(folder) ? " is no folder" : " does not exist",
           "; expected run directories, or folders that hold some");
    const std::size_t before = found.size() + collection.left_out.size();
    find_runs(folder, found, collection.left_out);
    if (found.size() + collection.left_out.size() == before)
      collection.left_out.push_back({folder, "holds no run directory"});
  }
  order(found);
  for (const fs::path& folder : found) try {
      collection.runs.push_back(read_run(folder));
    } catch (const std::exception& error) {
      collection.left_out.push_back({folder, error.what()});
    }
  leave_out_copies(collection);
  return collection;
}

void warn_of_left_out(const RunCollection& collection) {
  for (const LeftOut& left : collection.left_out)
    std::cerr << "warning: left out " << left.folder.string() << ": " << left.reason << '\n';
}

}  // namespace alma
