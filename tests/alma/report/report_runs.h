#pragma once
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "alma/report/run_records.h"
#include "alma/run/run_directory.h"
#include "tests/data/files.h"

namespace alma::test {

/// Where the package libjs-vega lies.
inline constexpr const char* kVega = "/usr/share/javascript/vega";

/// A language model: an ensemble has `members` of so many experts a layer.
inline Config language(const std::string& method = "sm", std::int64_t experts = 4, std::int64_t members = 1) {
  Config config;
  config.stream.dataset = "text";
  config.model = {"switch", 512, experts};
  config.learner.method = method;
  config.learner.members = members;
  return config;
}

/// Tests that make run directories, as the program leaves them, and read them again.
class ReportRuns : public ::testing::Test {
 protected:
  std::filesystem::path root() const { return folder_.path(); }

  /// A finished run of as many mega-batches as there are errors, updated wherever the error changes.
  std::filesystem::path make(const std::string& name, const std::vector<double>& errors, const Config& config = {}) const {
    std::vector<MegaBatchRecord> records;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      MegaBatchRecord record;
      record.t = static_cast<std::int64_t>(i) + 1;
      record.error = errors[i];
      record.params = 100;
      record.train_macs = 1000 * (i + 1);
      record.seconds = 0.5 * static_cast<double>(i + 1);
      records.push_back(record);
    }
    return write(name, records, config);
  }
  std::filesystem::path write(const std::string& name, const std::vector<MegaBatchRecord>& records, Config config) const {
    config.stream.mega_batches = static_cast<std::int64_t>(records.size());
    RunDirectory directory(root() / "runs" / name, config, OpenMode::create);
    for (const MegaBatchRecord& record : records) directory.append(record);
    nlohmann::ordered_json result = to_json(aggregate(records, config.learner.wait));
    result["seconds"] = 2.5;
    result["device"] = "cpu";
    result["level"] = "generic";
    result["version"] = "1";
    directory.write_result(result);
    return directory.path();
  }
  /// The same of a language model, from one perplexity for each mega-batch.
  std::filesystem::path make_language(const std::string& name, const std::vector<double>& ppl,
                                      const Config& config = language()) const {
    std::vector<MegaBatchRecord> records(ppl.size());
    for (std::size_t i = 0; i < ppl.size(); ++i) {
      records[i].t = static_cast<std::int64_t>(i) + 1;
      records[i].updated = records[i].t % config.learner.wait == 0 || i + 1 == ppl.size();
      records[i].ppl = ppl[i];
      records[i].params = 100;
      records[i].train_flops = 1000 * (i + 1);
    }
    return write(name, records, config);
  }
  RunCollection read() const {
    const std::filesystem::path runs = root() / "runs";
    return read_runs({&runs, 1});
  }

  /// Exactly the folders with these names were left out, each for a reason that says this.
  static void expect_left_out(const RunCollection& collection, const std::map<std::string, std::string>& expected) {
    std::map<std::string, std::string> reasons;
    for (const LeftOut& left : collection.left_out) reasons[left.folder.filename()] = left.reason;
    EXPECT_EQ(reasons.size(), expected.size());
    for (const auto& [name, part] : expected)
      EXPECT_NE(reasons[name].find(part), std::string::npos) << name << ": " << reasons[name];
  }

  TemporaryFolder folder_;
};

/// The data of a page.
inline nlohmann::json page_json(const std::string& page) {
  const std::string start = "type=\"application/json\">";
  const std::size_t begin = page.find(start) + start.size();
  return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

}  // namespace alma::test
