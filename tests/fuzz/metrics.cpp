// metrics.jsonl: a record that was read is written to the same. The first byte is the waiting time of the run.
#include "alma/learn/metrics.h"

#include <nlohmann/json.hpp>

#include "alma/run/run_directory.h"
#include "tests/fuzz/records.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

void read(std::string_view input) {
  if (input.empty()) return;
  const auto records = parse_metrics(std::string(input.substr(1)), "fuzz");
  for (const MegaBatchRecord& record : records) {
    const std::string line = to_json_line(record);
    require(to_json_line(record_from_json(line)) == line, "another record");
  }
  const Aggregates measures = aggregate(records, static_cast<unsigned char>(input[0]) % 8 + 1);
  require(measures.of_language() ? measures.ppl.size() == records.size() : measures.cer >= 0, "no measures");
  require(!to_json(measures).dump().empty(), "no text");
}

std::vector<std::string> seeds() {
  return {"\x01" + metrics_text(3), "\x02" + metrics_text(4), "\x01" + metrics_text(2, true),
          // Numbers that no integer of ours holds.
          "\x01" + std::string(R"({"t":1e99,"updated":false,"error":0.9,"loss":null,"params":-1,"inference_macs":0,)"
                               R"("train_macs":1e40,"train_flops":-5,"epochs":1.5,"val_accuracy":null,"seconds":1})")};
}

const Registered target{{"metrics", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
