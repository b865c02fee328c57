#include "alma/learn/metrics.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "tests/data/files.h"

namespace alma {
namespace {

using test::expect_error;

// The errors after each update, held until the next one; chance before the first (paper: .9).
std::vector<MegaBatchRecord> records_of(const std::vector<double>& errors, std::int64_t wait) {
  std::vector<MegaBatchRecord> records;
  const auto batches = static_cast<std::int64_t>(errors.size()) * wait;
  for (std::int64_t t = 1; t <= batches; ++t) {
    MegaBatchRecord record;
    record.t = t;
    record.error = t < wait ? 0.9 : errors[static_cast<std::size_t>(t / wait - 1)];
    records.push_back(record);
  }
  return records;
}

const std::vector<double> kSm4 = {.5911, .5419, .5198, .5075, .4944, .4861, .4903, .4854, .4811, .4704};
const std::vector<double> kEns4 = {.5249, .4800, .4551, .4385, .4274, .4172, .4151, .4098, .4117, .4019};
const std::vector<double> kSm16 = {.3617, .3172, .2971, .2828, .2777, .2766, .2636, .2582, .2538, .2507};
const std::vector<double> kSm16Replay = {.3594, .2872, .2473, .2322, .2217, .2103, .1975, .1934, .1889, .1841};
const std::vector<double> kSm64 = {.2843, .2479, .2300, .2162, .2067, .2026, .1949, .1893, .1904, .1718};
const std::vector<double> kEns64 = {.2305, .1943, .1719, .1592, .1499, .1449, .1370, .1391, .1352, .1272};

// Errors are known to four digits, so that the sum of 91 of them may be off by 91 * .00005, and the target by .005.
constexpr double kCerTolerance = 0.0097;
// The same for 100 errors, times 5000 / 109, and the plotted value by .05.
constexpr double kPaperTolerance = 0.28;

TEST(Metrics, CerIsEquation1) {
  EXPECT_NEAR(aggregate(records_of(kSm4, 10), 10).cer, 54.55, kCerTolerance);
  EXPECT_NEAR(aggregate(records_of(kEns4, 10), 10).cer, 48.30, kCerTolerance);
  EXPECT_NEAR(aggregate(records_of(kSm64, 10), 10).cer, 27.89, kCerTolerance);
  EXPECT_NEAR(aggregate(records_of(kEns64, 10), 10).cer, 22.85, kCerTolerance);
  EXPECT_NEAR(aggregate(records_of({.4437}, 100), 100).cer, 89.54, kCerTolerance);
}

TEST(Metrics, PaperCerIsWhatTheFiguresPlot) {
  EXPECT_NEAR(aggregate(records_of(kSm16, 10), 10).paper_cer.value(), 1674.0, kPaperTolerance);
  EXPECT_NEAR(aggregate(records_of(kSm16Replay, 10), 10).paper_cer.value(), 1436.7, kPaperTolerance);
  // w = B: one error of four digits weighs 100 * 5000 / 199.
  EXPECT_NEAR(aggregate(records_of({.4437}, 100), 100).paper_cer.value(), 3353.7, 0.00005 * 100 * 5000 / 199 + 0.06);
  // MNIST, w = 1: 500 errors that sum to 115.43 (known to two digits).
  EXPECT_NEAR(aggregate(records_of(std::vector<double>(500, 115.43 / 500), 1), 1).paper_cer.value(), 1154.3, 0.1);
}

TEST(Metrics, PaperCerEqualsTheFormulaOfTheFigures) {
  for (std::int64_t wait : {1, 2, 10}) {
    double sum = 0;
    for (double error : kSm16) sum += error;
    const double w = static_cast<double>(wait), batches = 10 * w;
    const double expected = 100 * 50 * ((w - 1) * 0.9 + w * sum) / (batches + w - 1);
    EXPECT_NEAR(aggregate(records_of(kSm16, wait), wait).paper_cer.value(), expected, 1e-9 * expected);
  }
}

TEST(Metrics, PaperCerNeedsAWaitThatDividesB) {
  std::vector<MegaBatchRecord> records = records_of(kSm4, 10);
  EXPECT_FALSE(aggregate(records, 3).paper_cer);
  EXPECT_TRUE(aggregate(records, 4).paper_cer);
  EXPECT_TRUE(to_json(aggregate(records, 3)).at("paper_cer").is_null());
}

TEST(Metrics, MemoryIsSummedAndComputeIsTheLast) {
  std::vector<MegaBatchRecord> records(3);
  for (std::size_t i = 0; i < 3; ++i) {
    records[i].t = static_cast<std::int64_t>(i) + 1;
    records[i].params = 100 * (static_cast<std::int64_t>(i) + 1);
    records[i].train_macs = (Count{1} << 70) * (i + 1);
    records[i].train_flops = (Count{1} << 72) * (i + 1);
    records[i].error = 0.5 / static_cast<double>(i + 1);
  }
  const Aggregates sums = aggregate(records, 1);
  EXPECT_TRUE(sums.mem == 600);
  EXPECT_TRUE(sums.comp_macs == (Count{1} << 70) * 3);
  EXPECT_TRUE(sums.comp_flops == (Count{1} << 72) * 3);
  EXPECT_EQ(sums.final_error, 0.5 / 3);
}

TEST(Metrics, RecordsMustBeCompleteAndInOrder) {
  std::vector<MegaBatchRecord> records = records_of({.5, .4}, 1);
  std::swap(records[0], records[1]);
  expect_error(ErrorKind::data, {"record 1 has t = 2, expected 1"}, [&] { aggregate(records, 1); });
  expect_error(ErrorKind::data, {"no mega-batch"}, [&] { aggregate({}, 1); });
}

TEST(Metrics, ALineHasTheKeysOfTheContract) {
  MegaBatchRecord record{3, true, 0.25, 0.75, 7950, 7920, 1000, 6000, 12, 0.875, 1.5};
  EXPECT_EQ(to_json_line(record),
            R"({"t":3,"updated":true,"error":0.25,"loss":0.75,"params":7950,"inference_macs":7920,"train_macs":1000,)"
            R"("train_flops":6000,"epochs":12,"val_accuracy":0.875,"seconds":1.5})");
  record.loss.reset();
  record.val_accuracy.reset();
  const std::string line = to_json_line(record);
  EXPECT_NE(line.find("\"loss\":null"), line.npos);
  EXPECT_NE(line.find("\"val_accuracy\":null"), line.npos);
  EXPECT_FALSE(record_from_json(line).loss);
  EXPECT_FALSE(record_from_json(line).val_accuracy);
}

TEST(Metrics, ALanguageModelHasAPerplexityInstead) {
  MegaBatchRecord record;
  record.t = 2;
  record.ppl = 100.0 / 3;
  const std::string line = to_json_line(record);
  EXPECT_EQ(line.substr(0, line.find(",\"loss\"")), R"({"t":2,"updated":false,"ppl":33.333333333333336)");
  EXPECT_EQ(line.find("experts"), line.npos);
  EXPECT_EQ(line.find("\"error\""), line.npos);
  EXPECT_EQ(record_from_json(line).ppl, record.ppl);
  EXPECT_EQ(record_from_json(line).error, 0);
  EXPECT_EQ(judged_by(record_from_json(line)), 100.0 / 3);
  EXPECT_FALSE(record_from_json(line).experts);
  record.experts = 6;
  EXPECT_EQ(record_from_json(to_json_line(record)).experts, 6);
  // Exactly one of error and perplexity.
  record.error = 0.5;
  expect_error(ErrorKind::failed, {"mega-batch 2", "an error and a ppl"}, [&] { to_json_line(record); });
  record.ppl.reset();
  EXPECT_FALSE(record_from_json(to_json_line(record)).ppl);
  EXPECT_EQ(judged_by(record), 0.5);
  const std::string both = R"("error":0.5,"ppl":20.0)";
  std::string changed = line;
  changed.replace(changed.find("\"ppl\":33.333333333333336"), 24, both);
  expect_error(ErrorKind::data, {"both of error and ppl"}, [&] { record_from_json(changed); });
  changed.replace(changed.find(both), both.size() + 1, "");
  expect_error(ErrorKind::data, {"neither of error and ppl"}, [&] { record_from_json(changed); });
}

TEST(Metrics, PerplexitiesAreAveragedAndKept) {
  // The paper's Fig. 5, 4 experts: 27.365 on average.
  std::vector<MegaBatchRecord> records(4);
  const double ppl[] = {28.57, 27.45, 26.91, 26.53};
  for (std::size_t i = 0; i < 4; ++i) {
    records[i].t = static_cast<std::int64_t>(i) + 1;
    records[i].ppl = ppl[i];
    records[i].params = 65'000'000;
  }
  const Aggregates sums = aggregate(records, 1);
  EXPECT_TRUE(sums.of_language());
  EXPECT_NEAR(sums.mean_ppl, 27.365, 1e-9);
  EXPECT_EQ(sums.ppl, (std::vector<double>{28.57, 27.45, 26.91, 26.53}));
  EXPECT_FALSE(sums.paper_cer);
  const auto json = to_json(sums);
  EXPECT_EQ(json.at("ppl").size(), 4u);
  EXPECT_EQ(json.at("mean_ppl"), sums.mean_ppl);
  EXPECT_EQ(json.at("mem"), 260'000'000);
  for (const char* name : {"cer", "final_error", "paper_cer"}) EXPECT_FALSE(json.contains(name)) << name;
  records[2].ppl.reset();
  expect_error(ErrorKind::data, {"record 3 has an error, those before a ppl"}, [&] { aggregate(records, 1); });
  EXPECT_FALSE(aggregate(records_of({.5}, 1), 1).of_language());
}

TEST(Metrics, DoublesReadBackToTheSameBits) {
  RandomStream random(1, "metrics test");
  for (int i = 0; i < 2000; ++i) {
    MegaBatchRecord record;
    record.t = i;
    record.error = random.uniform();
    record.loss = std::exp(200 * random.normal());
    if (!std::isfinite(*record.loss)) record.loss = std::numeric_limits<double>::denorm_min();
    record.val_accuracy = i / 3.0;
    record.seconds = 1e6 * random.uniform();
    const MegaBatchRecord read = record_from_json(to_json_line(record));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read.error), std::bit_cast<std::uint64_t>(record.error));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*read.loss), std::bit_cast<std::uint64_t>(*record.loss));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*read.val_accuracy), std::bit_cast<std::uint64_t>(*record.val_accuracy));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read.seconds), std::bit_cast<std::uint64_t>(record.seconds));
  }
}

TEST(Metrics, CountsAreIntegersUpTo2To53AndDoublesAbove) {
  EXPECT_EQ(count_to_json(0).dump(), "0");
  EXPECT_EQ(count_to_json(Count{1} << 53).dump(), "9007199254740992");
  EXPECT_TRUE(count_to_json((Count{1} << 53) + 1).is_number_float());
  const nlohmann::json big = count_to_json(Count{1} << 100);
  EXPECT_TRUE(big.is_number_float());
  EXPECT_EQ(nlohmann::json::parse(big.dump()).get<double>(), 0x1p100);

  MegaBatchRecord record;
  record.train_macs = Count{1} << 53;
  record.train_flops = Count{3} << 90;  // exact as a double
  const MegaBatchRecord read = record_from_json(to_json_line(record));
  EXPECT_TRUE(read.train_macs == record.train_macs);
  EXPECT_TRUE(read.train_flops == record.train_flops);
}

TEST(Metrics, NumbersThatAreNotFiniteNeverReachAFile) {
  const double bad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
  for (double value : bad) {
    MegaBatchRecord record;
    record.t = 5;
    record.loss = value;
    expect_error(ErrorKind::failed, {"mega-batch 5", "loss", "finite"}, [&] { to_json_line(record); });
    record.loss.reset();
    record.error = value;
    expect_error(ErrorKind::failed, {"mega-batch 5", "error", "finite"}, [&] { to_json_line(record); });
    record.error = 0;
    record.ppl = value;
    expect_error(ErrorKind::failed, {"mega-batch 5", "ppl", "finite"}, [&] { to_json_line(record); });
  }
}

// Conversions that the language leaves undefined, or that would change the number in silence.
TEST(Metrics, NumbersBeyondTheirTypesAreRefused) {
  const std::string line = to_json_line({});
  const auto with = [&line](const std::string& key, const std::string& value) {
    const std::size_t begin = line.find("\"" + key + "\":") + key.size() + 3;
    return line.substr(0, begin) + value + line.substr(line.find_first_of(",}", begin));
  };
  EXPECT_EQ(record_from_json(with("t", "9223372036854775807")).t, std::numeric_limits<std::int64_t>::max());
  for (const char* key : {"t", "params", "epochs"})
    for (const char* value : {"9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
                              "1e19", "-1e300", "1.0", "0.5", "\"1\"", "null"})
      expect_error(ErrorKind::data, {"not a record", std::string(key) + " is ", "expected an integer"},
                   [&] { record_from_json(with(key, value)); });
  EXPECT_TRUE(record_from_json(with("train_macs", "18446744073709551615")).train_macs == (Count{1} << 64) - 1);
  for (const char* key : {"inference_macs", "train_macs", "train_flops"})
    for (const char* value : {"1e39", "3.5e38", "-1", "-1e-300", "null"})
      EXPECT_THROW(record_from_json(with(key, value)), Error) << key << ' ' << value;
  for (const char* key : {"error", "loss", "val_accuracy", "seconds"})
    for (const char* value : {"1e309", "-1e309", "NaN", "\"0\""})
      EXPECT_THROW(record_from_json(with(key, value)), Error) << key << ' ' << value;
  // A key that is there twice has no value.
  expect_error(ErrorKind::data, {"not a record", "\"t\" is there twice"},
               [&] { record_from_json("{\"t\":1," + line.substr(1)); });
}

TEST(Metrics, DamagedLinesAreRefused) {
  const std::string line = to_json_line({});
  for (std::size_t length = 0; length < line.size(); ++length)
    EXPECT_THROW(record_from_json(line.substr(0, length)), Error) << length;
  for (const char* text : {"[]", "3", "{}", R"({"t":"1"})"}) EXPECT_THROW(record_from_json(text), Error) << text;
  const std::pair<std::string, std::string> changes[] = {{"\"train_macs\":0", "\"train_macs\":-1"},
                                                         {"\"params\":0", "\"params\":-1"},
                                                         {"\"error\":0.0", "\"error\":-0.1"},
                                                         {"\"error\":0.0", "\"error\":1.5"},
                                                         {"\"error\":0.0", "\"ppl\":0.999"},
                                                         {"\"error\":0.0", "\"ppl\":-20"},
                                                         {"\"error\":0.0", "\"ppl\":null"},
                                                         {"\"error\":0.0", "\"error\":0.0,\"experts\":0"},
                                                         {"\"error\":0.0", "\"error\":0.0,\"experts\":1.5"}};
  for (const auto& [before, after] : changes) {
    std::string changed = line;
    changed.replace(changed.find(before), before.size(), after);
    EXPECT_THROW(record_from_json(changed), Error) << changed;
  }
}

}  // namespace
}  // namespace alma
