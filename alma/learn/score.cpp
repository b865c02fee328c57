#include "alma/learn/score.h"

#include <cmath>

namespace alma {

double Score::perplexity() const { return std::exp(loss()); }

const char* name_of(Measure measure) { return measure == Measure::error ? "error" : "ppl"; }

double measured(Measure measure, const Score& score) {
  return measure == Measure::error ? score.error() : score.perplexity();
}

double quality(Measure measure, const Score& score) {
  return measure == Measure::error ? score.accuracy() : score.perplexity();
}

bool is_better(Measure measure, double quality, double best, double delta) {
  if (std::isnan(best)) return !std::isnan(quality);
  return measure == Measure::error ? quality > best + delta : quality < best - delta;
}

double bits_per_byte(double perplexity, double bytes_per_token) { return std::log2(perplexity) / bytes_per_token; }

double chance(Measure measure, std::int64_t classes) {
  return measure == Measure::error ? 1 - 1.0 / static_cast<double>(classes) : static_cast<double>(classes);
}

}  // namespace alma
