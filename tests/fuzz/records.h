#pragma once
#include <string>

#include "alma/learn/metrics.h"

namespace alma::fuzz {

/// A metrics.jsonl of so many mega-batches: of a learner of images, or of a language model.
inline std::string metrics_text(std::int64_t mega_batches, bool of_language = false) {
  std::string text;
  for (std::int64_t t = 1; t <= mega_batches; ++t) {
    MegaBatchRecord record;
    record.t = t, record.updated = t > 1;
    record.error = of_language ? 0 : 0.9 / static_cast<double>(t);
    if (of_language) record.ppl = 40.5, record.experts = t;
    if (t > 1) record.loss = 0.7, record.val_accuracy = 0.25;
    record.params = 1000, record.inference_macs = Count{1} << 60, record.train_macs = Count{1} << 100;
    record.epochs = 5, record.seconds = 1.5;
    text += to_json_line(record) + "\n";
  }
  return text;
}

}  // namespace alma::fuzz
