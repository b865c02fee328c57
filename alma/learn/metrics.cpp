#include "alma/learn/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace alma {

namespace {

constexpr Count kLargestExactInteger = Count{1} << 53;

double finite(double value, const char* name, std::int64_t t) {
  if (!std::isfinite(value)) fail("mega-batch ", t, ": ", name, " is ", value, ", expected a finite number");
  return value;
}

nlohmann::json or_null(const std::optional<double>& value, const char* name, std::int64_t t) {
  return value ? nlohmann::json(finite(*value, name, t)) : nlohmann::json(nullptr);
}

std::optional<double> read_optional(const nlohmann::json& json, const char* key) {
  return json_member(json, key).is_null() ? std::nullopt : std::optional(json_number(json, key));
}

Count read_count(const nlohmann::json& object, const char* key) {
  const nlohmann::json& json = json_member(object, key);
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  const double value = to_number(json, key);
  if (!(value >= 0 && value < 0x1p128)) fail(ErrorKind::data, "a count must be in 0 .. 2^128, found ", json.dump());
  return static_cast<Count>(value);
}

}  // namespace

nlohmann::json count_to_json(Count count) {
  if (count <= kLargestExactInteger) return static_cast<std::uint64_t>(count);
  return static_cast<double>(count);
}

std::string to_json_line(const MegaBatchRecord& record) {
  const std::int64_t t = record.t;
  if (record.ppl && record.error != 0) fail("mega-batch ", t, " has an error and a ppl, expected one of them");
  const char* measure = record.ppl ? "ppl" : "error";
  nlohmann::ordered_json json = {{"t", t},
                                 {"updated", record.updated},
                                 {measure, finite(judged_by(record), measure, t)},
                                 {"loss", or_null(record.loss, "loss", t)},
                                 {"params", record.params},
                                 {"inference_macs", count_to_json(record.inference_macs)},
                                 {"train_macs", count_to_json(record.train_macs)},
                                 {"train_flops", count_to_json(record.train_flops)},
                                 {"epochs", record.epochs},
                                 {"val_accuracy", or_null(record.val_accuracy, "val_accuracy", t)},
                                 {"seconds", finite(record.seconds, "seconds", t)}};
  if (record.bits_per_byte) json["bits_per_byte"] = finite(*record.bits_per_byte, "bits_per_byte", t);
  if (record.experts) json["experts"] = *record.experts;
  return json.dump();
}

MegaBatchRecord record_from_json(const std::string& line) {
  try {
    const nlohmann::json json = parse_json(line);
    MegaBatchRecord record;
    record.t = json_integer(json, "t", 0);
    record.updated = json_flag(json, "updated");
    if (json.contains("error") == json.contains("ppl"))
      fail(ErrorKind::data, json.contains("ppl") ? "both" : "neither", " of error and ppl found, expected one of them");
    if (json.contains("ppl")) record.ppl = json_number(json, "ppl");
    if (!record.ppl) record.error = json_number(json, "error");
    record.loss = read_optional(json, "loss");
    record.params = json_integer(json, "params", 0);
    record.inference_macs = read_count(json, "inference_macs");
    record.train_macs = read_count(json, "train_macs");
    record.train_flops = read_count(json, "train_flops");
    record.epochs = json_integer(json, "epochs", 0);
    record.val_accuracy = read_optional(json, "val_accuracy");
    record.seconds = json_number(json, "seconds");
    if (!(record.error >= 0 && record.error <= 1)) fail(ErrorKind::data, "error is ", record.error, ", expected 0 .. 1");
    if (record.ppl && *record.ppl < 1) fail(ErrorKind::data, "ppl is ", *record.ppl, ", expected at least 1");
    if (json.contains("bits_per_byte")) record.bits_per_byte = json_number(json, "bits_per_byte");
    if (record.bits_per_byte && !(record.ppl && *record.bits_per_byte >= 0))
      fail(ErrorKind::data, "bits_per_byte is ", *record.bits_per_byte, ", expected at least 0 beside a ppl");
    if (const auto experts = json.find("experts"); experts != json.end() && !experts->is_null())
      record.experts = json_integer(json, "experts", 1);
    return record;
  } catch (const JsonError& error) {
    fail(ErrorKind::data, "not a record of a mega-batch: ", error.what());
  }
}

Aggregates aggregate(std::span<const MegaBatchRecord> records, std::int64_t wait) {
  if (records.empty()) fail(ErrorKind::data, "no mega-batch is recorded, expected t = 1 .. B");
  Aggregates sums;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].t != static_cast<std::int64_t>(i) + 1)
      fail(ErrorKind::data, "record ", i + 1, " has t = ", records[i].t, ", expected ", i + 1);
    const MegaBatchRecord& record = records[i];
    if (record.bits_per_byte.has_value() != records[0].bits_per_byte.has_value())
      fail(ErrorKind::data, "record ", i + 1, record.bits_per_byte ? " has" : " lacks",
           " bits_per_byte, unlike those before");
    if (record.ppl.has_value() != records[0].ppl.has_value())
      fail(ErrorKind::data, "record ", i + 1,
           record.ppl ? " has a ppl, those before an error" : " has an error, those before a ppl",
           "; expected one of them in all");
    sums.cer += record.error;
    if (record.ppl) {
      sums.ppl.push_back(*record.ppl);
      sums.mean_ppl += *record.ppl / static_cast<double>(records.size());
      if (record.bits_per_byte)
        sums.bits_per_byte = sums.bits_per_byte.value_or(0) + *record.bits_per_byte / static_cast<double>(records.size());
    }
    sums.mem += static_cast<Count>(record.params);
  }
  const MegaBatchRecord& last = records.back();
  sums.final_error = last.error;
  sums.comp_macs = last.train_macs;
  sums.comp_flops = last.train_flops;
  // The paper's figures keep the last model for w steps, like every other one, take the mean over the B + w - 1 steps and
  // multiply it by 50 (the stages at w = 2), in percent.
  const auto batches = static_cast<std::int64_t>(records.size());
  if (wait > 0 && batches % wait == 0 && !sums.of_language()) {
    const auto held = static_cast<double>(wait - 1);
    sums.paper_cer = 100 * 50 * (sums.cer + held * sums.final_error) / (static_cast<double>(batches) + held);
  }
  return sums;
}

nlohmann::ordered_json to_json(const Aggregates& aggregates) {
  if (aggregates.of_language()) {
    nlohmann::ordered_json json = {{"ppl", aggregates.ppl}, {"mean_ppl", aggregates.mean_ppl}};
    if (aggregates.bits_per_byte) json["bits_per_byte"] = *aggregates.bits_per_byte;
    json["mem"] = count_to_json(aggregates.mem);
    json["comp_macs"] = count_to_json(aggregates.comp_macs);
    json["comp_flops"] = count_to_json(aggregates.comp_flops);
    return json;
  }
  return {
      {"cer", aggregates.cer},
      {"final_error", aggregates.final_error},
      {"mem", count_to_json(aggregates.mem)},
      {"comp_macs", count_to_json(aggregates.comp_macs)},
      {"comp_flops", count_to_json(aggregates.comp_flops)},
      {"paper_cer", aggregates.paper_cer ? nlohmann::ordered_json(*aggregates.paper_cer) : nlohmann::ordered_json(nullptr)}};
}

}  // namespace alma
