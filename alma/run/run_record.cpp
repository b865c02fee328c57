#include "alma/run/run_record.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/config/kinds.h"
#include "alma/run/run_directory.h"
#include "base/checksum.h"
#include "base/files.h"
#include "base/json.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  fail(ErrorKind::data, file.string(), ": ", what);
}

/// Checks that result.json has the value that the records give.
void check_measure(const fs::path& file, const std::string& name, double value, double expected) {
  if (!(std::abs(value - expected) <= 1e-9 * expected))
    damaged(file, name + " is " + std::to_string(value) + ", the records in metrics.jsonl give " + std::to_string(expected));
}

void check_measures(const fs::path& file, const nlohmann::json& result, const Aggregates& measures) {
  if (!measures.of_language()) return check_measure(file, "cer", json_number(result, "cer"), measures.cer);
  check_measure(file, "mean_ppl", json_number(result, "mean_ppl"), measures.mean_ppl);
  if (measures.bits_per_byte)
    check_measure(file, "bits_per_byte", json_number(result, "bits_per_byte"), *measures.bits_per_byte);
  const nlohmann::json& found = json_member(result, "ppl");
  if (!found.is_array() || found.size() != measures.ppl.size())
    damaged(file, "ppl has " + std::to_string(found.is_array() ? found.size() : 0) + " values, metrics.jsonl " +
                      std::to_string(measures.ppl.size()));
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string name = "ppl of mega-batch " + std::to_string(i + 1);
    check_measure(file, name, to_number(found[i], name), measures.ppl[i]);
  }
}

// Reads the records of all mega-batches; returns the text of their file.
std::string read_records(RunRecord& run) {
  const fs::path file = run.folder / "metrics.jsonl";
  const auto text = read_plain_file(file);
  if (!text) damaged(file, "is missing, although the run has a result");
  run.records = parse_metrics(*text, file);
  if (static_cast<std::int64_t>(run.records.size()) != run.config.stream.mega_batches)
    damaged(file, std::to_string(run.records.size()) + " mega-batches, config.toml has " +
                      std::to_string(run.config.stream.mega_batches));
  if (text->back() != '\n') damaged(file, "the last line is incomplete");
  run.measures = aggregate(run.records, run.config.learner.wait);
  if (run.measures.of_language() != (data_kind(run.config).input == Input::text))
    damaged(file, std::string(run.measures.of_language() ? "perplexities" : "errors") +
                      ", which a run with stream.dataset = \"" + run.config.stream.dataset + "\" does not have");
  return *text;
}

}  // namespace

std::optional<RunRecord> read_finished_run(const fs::path& folder) {
  const fs::path result_file = folder / "result.json";
  const auto text = read_plain_file(result_file);
  if (!text) return std::nullopt;
  RunRecord run;
  run.folder = folder;
  run.config = read_run_config(folder);
  nlohmann::json result;
  try {
    result = parse_json(*text);
    run.seconds = json_number(result, "seconds");
    run.device = json_text(result, "device");
    run.level = json_text(result, "level");
    run.version = json_text(result, "version");
  } catch (const JsonError& error) {
    throw DamagedResult(ErrorKind::data, result_file.string() + ": not the result of a run: " + error.what());
  }
  const std::string records = read_records(run);
  try {
    check_measures(result_file, result, run.measures);
    // Earlier versions have written no checksum.
    if (result.contains("metrics_sha256"))
      if (const std::string sum = sha256(records), expected = json_text(result, "metrics_sha256"); sum != expected)
        damaged(folder / "metrics.jsonl", "was changed: it has SHA-256 " + sum + ", result.json expects " + expected);
  } catch (const JsonError& error) {
    throw DamagedResult(ErrorKind::data, result_file.string() + ": not the result of a run: " + error.what());
  }
  return run;
}

bool is_finished(const fs::path& folder) try { return read_finished_run(folder).has_value(); } catch (const Error&) {
  return false;
}

}  // namespace alma
