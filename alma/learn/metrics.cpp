#include "alma/learn/metrics.h"

#include <cmath>

#include "base/error.h"

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

std::optional<double> read_optional(const nlohmann::json& json) {
  return json.is_null() ? std::nullopt : std::optional<double>(json.get<double>());
}

Count count_from_json(const nlohmann::json& json) {
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  const double value = json.get<double>();
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
  if (record.experts) json["experts"] = *record.experts;
  return json.dump();
}

MegaBatchRecord record_from_json(const std::string& line) {
  try {
    const nlohmann::json json = nlohmann::json::parse(line);
    MegaBatchRecord record;
    json.at("t").get_to(record.t);
    json.at("updated").get_to(record.updated);
    if (json.contains("error") == json.contains("ppl"))
      fail(ErrorKind::data, json.contains("ppl") ? "both" : "neither", " of error and ppl found, expected one of them");
    if (json.contains("ppl")) record.ppl = json.at("ppl").get<double>();
    if (!record.ppl) json.at("error").get_to(record.error);
    record.loss = read_optional(json.at("loss"));
    json.at("params").get_to(record.params);
    record.inference_macs = count_from_json(json.at("inference_macs"));
    record.train_macs = count_from_json(json.at("train_macs"));
    record.train_flops = count_from_json(json.at("train_flops"));
    json.at("epochs").get_to(record.epochs);
    record.val_accuracy = read_optional(json.at("val_accuracy"));
    json.at("seconds").get_to(record.seconds);
    if (!(record.error >= 0 && record.error <= 1)) fail(ErrorKind::data, "error is ", record.error, ", expected 0 .. 1");
    if (record.ppl && !(*record.ppl >= 1 && std::isfinite(*record.ppl)))
      fail(ErrorKind::data, "ppl is ", *record.ppl, ", expected at least 1");
    if (const auto experts = json.find("experts"); experts != json.end() && !experts->is_null()) {
      if (!experts->is_number_integer() || experts->get<std::int64_t>() < 1)
        fail(ErrorKind::data, "experts is ", experts->dump(), ", expected an integer of at least 1");
      record.experts = experts->get<std::int64_t>();
    }
    if (record.params < 0) fail(ErrorKind::data, "params is ", record.params, ", expected a count");
    return record;
  } catch (const nlohmann::json::exception& error) {
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
    if (record.ppl.has_value() != records[0].ppl.has_value())
      fail(ErrorKind::data, "record ", i + 1,
           record.ppl ? " has a ppl, those before an error" : " has an error, those before a ppl",
           "; expected one of them in all");
    sums.cer += record.error;
    if (record.ppl) {
      sums.ppl.push_back(*record.ppl);
      sums.mean_ppl += *record.ppl / static_cast<double>(records.size());
    }
    sums.mem += static_cast<Count>(record.params);
  }
  const MegaBatchRecord& last = records.back();
  sums.final_error = last.error;
  sums.comp_macs = last.train_macs;
  sums.comp_flops = last.train_flops;
  // The figures hold the last model for w steps, like every other, take the mean over the B + w - 1 steps and multiply by 50
  // (the stages at w = 2), in percent.
  const auto batches = static_cast<std::int64_t>(records.size());
  if (batches % wait == 0 && !sums.of_language()) {
    const auto held = static_cast<double>(wait - 1);
    sums.paper_cer = 100 * 50 * (sums.cer + held * sums.final_error) / (static_cast<double>(batches) + held);
  }
  return sums;
}

nlohmann::ordered_json to_json(const Aggregates& aggregates) {
  if (aggregates.of_language())
    return {{"ppl", aggregates.ppl},
            {"mean_ppl", aggregates.mean_ppl},
            {"mem", count_to_json(aggregates.mem)},
            {"comp_macs", count_to_json(aggregates.comp_macs)},
            {"comp_flops", count_to_json(aggregates.comp_flops)}};
  return {
      {"cer", aggregates.cer},
      {"final_error", aggregates.final_error},
      {"mem", count_to_json(aggregates.mem)},
      {"comp_macs", count_to_json(aggregates.comp_macs)},
      {"comp_flops", count_to_json(aggregates.comp_flops)},
      {"paper_cer", aggregates.paper_cer ? nlohmann::ordered_json(*aggregates.paper_cer) : nlohmann::ordered_json(nullptr)}};
}

}  // namespace alma
