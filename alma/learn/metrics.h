#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/cost.h"

namespace alma {

/// The record of mega-batch t, made after its arrival and the test of the model, updated or not: a line of metrics.jsonl.
struct MegaBatchRecord {
  std::int64_t t = 0;                     // 1 .. B
  bool updated = false;                   // an update happened on this arrival
  double error = 0;                       // of the whole test set, in [0, 1]; 0 where there is a ppl
  std::optional<double> loss;             // mean test cross-entropy; null while it is not known
  std::int64_t params = 0;                // of the tested model
  Count inference_macs = 0;               // of a prediction for one sample, the paper's convention
  Count train_macs = 0;                   // cumulative, the paper's convention
  Count train_flops = 0;                  // cumulative, forward and backward
  std::int64_t epochs = 0;                // of this update; 0 without one
  std::optional<double> val_accuracy;     // best of this update, in [0, 1]; null without one
  double seconds = 0;                     // since the run began, interruptions excluded
  std::optional<double> ppl{};            // a language model's test perplexity, at least 1; replaces the error
  std::optional<double> bits_per_byte{};  // the same per byte of the text: log2(ppl) / bytes per token
  // The number of experts per layer, summed over all members; recorded if it grows with the data (gMoE), absent if the
  // configuration gives it.
  std::optional<std::int64_t> experts{};
};

/// The measure of a record: the perplexity of a language model, the error of other models.
inline double judged_by(const MegaBatchRecord& record) { return record.ppl.value_or(record.error); }

/// One line of JSON without the newline. Doubles read back to the same bits. Throws Error for a number that is not finite.
std::string to_json_line(const MegaBatchRecord& record);
/// Throws Error(ErrorKind::data) that names what is missing or wrong.
MegaBatchRecord record_from_json(const std::string& line);

/// A count as JSON: an integer up to 2^53, above that the nearest double, which other programs can read.
nlohmann::json count_to_json(Count count);

/// The measures of a whole run (Caccia et al. 2022, section 3). Language models have perplexities, but neither
/// CER nor error.
struct Aggregates {
  double cer = 0;          // Eq. 1: sum over t of the error
  double final_error = 0;  // at t = B
  Count mem = 0;           // sum over t of the parameters
  Count comp_macs = 0, comp_flops = 0;
  std::optional<double> paper_cer;      // as the paper's figures plot it; null unless w divides B
  std::vector<double> ppl;              // of language models: t = 1 .. B
  double mean_ppl = 0;                  // their plain mean, as in the paper's Fig. 5
  std::optional<double> bits_per_byte;  // the mean, where all records have it: the only figure that compares vocabularies

  bool of_language() const { return !ppl.empty(); }
};

/// `records` are t = 1 .. B in order, at least one; `wait` is the fixed w of the run, or 0. Throws Error(ErrorKind::data) if
/// a t is missing, or if some have errors and others perplexities.
Aggregates aggregate(std::span<const MegaBatchRecord> records, std::int64_t wait);

/// The aggregates under their names in result.json.
nlohmann::ordered_json to_json(const Aggregates& aggregates);

}  // namespace alma
