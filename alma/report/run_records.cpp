#include "alma/report/run_records.h"

#include <algorithm>
#include <cmath>

#include "alma/files.h"
#include "alma/run_directory.h"
#include "kernels/error.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  fail(ErrorKind::data, file.string(), ": ", what);
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
  try {
    const nlohmann::json result = nlohmann::json::parse(*text);
    result.at("seconds").get_to(run.seconds);
    result.at("device").get_to(run.device);
    result.at("level").get_to(run.level);
    result.at("version").get_to(run.version);
    const double cer = result.at("cer");
    if (!(std::abs(cer - run.measures.cer) <= 1e-9 * run.measures.cer))
      damaged(result_file, "cer is " + std::to_string(cer) + ", the errors in metrics.jsonl add up to " +
                               std::to_string(run.measures.cer));
  } catch (const nlohmann::json::exception& error) {
    damaged(result_file, std::string("not the result of a run: ") + error.what());
  }
  return run;
}

bool looks_like_run(const fs::path& folder) {
  return fs::exists(folder / "config.toml") || fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "result.json");
}

// Run directories at or below `folder`; they do not hold others.
void find_runs(const fs::path& folder, std::vector<fs::path>& found) {
  if (looks_like_run(folder)) {
    found.push_back(folder);
    return;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.is_directory() && !entry.is_symlink()) find_runs(entry.path(), found);
}

}  // namespace

RunCollection read_runs(std::span<const fs::path> folders) {
  RunCollection collection;
  std::vector<fs::path> found;
  for (const fs::path& folder : folders) {
    if (!fs::is_directory(folder))
      fail(ErrorKind::usage, folder.string(), fs::exists(folder) ? " is no folder" : " does not exist",
           "; expected run directories, or folders that hold some");
    const std::size_t before = found.size();
    find_runs(folder, found);
    if (found.size() == before) collection.left_out.push_back({folder, "holds no run directory"});
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  for (const fs::path& folder : found) try {
      collection.runs.push_back(read_run(folder));
    } catch (const std::exception& error) {
      collection.left_out.push_back({folder, error.what()});
    }
  return collection;
}

}  // namespace alma
