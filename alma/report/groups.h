#pragma once
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "alma/report/run_records.h"

namespace alma {

/// The mean and the spread of a measure over seeds.
struct Spread {
  double mean = 0;
  double s = 0;  // sample standard deviation; 0 for a single seed
  double low = 0, high = 0;
};
Spread spread_of(std::span<const double> values);

/// The error or perplexity at mega-batch t, over seeds.
struct CurvePoint {
  std::int64_t t = 0;
  double mean = 0, low = 0, high = 0;
};

/// A language model after mega-batch t: a point of the paper's Fig. 5, an entry of its Table 2.
struct Stage {
  std::int64_t t = 0;
  Spread ppl;          // after t
  Spread mean_ppl;     // mean over the mega-batches 1 .. t
  double flops = 0;    // of training up to t; a mean over seeds, like the next two
  double params = 0;   // mean over the mega-batches 1 .. t, which is the figure's axis
  double experts = 0;  // experts per layer, summed over the members; 0 if unknown
};

/// The size of a learner from mega-batch t on.
struct Size {
  std::int64_t t = 0;
  std::int64_t parameters = 0;
  double experts = 0;  // of mixtures, as in Stage

  bool same(const Size& other) const { return parameters == other.parameters && experts == other.experts; }
};

/// The runs that differ only in their seeds: a point of a figure.
struct RunGroup {
  std::string stream;  // "mnist", with the keys that distinguish it from other streams of that name
  std::string panel;   // "Ens4 h=16", with other keys that distinguish it in its stream
  std::string label;   // "Ens4 h=16 w=10 replay", likewise
  std::vector<const RunRecord*> runs;
  Spread cer, final_error, seconds;  // of image models; language models have stages instead
  std::optional<Spread> paper_cer;
  std::optional<Spread> bits_per_byte, final_bits_per_byte;  // of language models: the mean, and after t = B
  double mem = 0, macs = 0, flops = 0;                       // means; see Aggregates
  std::int64_t parameters = 0;                               // of the learner at the end, of the first seed
  double inference_macs = 0;                                 // likewise
  std::vector<CurvePoint> curve;  // at t = 1, B and where the measure changes; at most kCurvePoints; constant in between
  std::vector<Size> sizes;        // of the first seed: at t = 1, B and where they change; thinned likewise
  std::vector<Stage> stages;      // of language models: 1 .. B, thinned alike for all of a stream

  const Config& config() const { return runs.front()->config; }
};
inline constexpr std::size_t kCurvePoints = 100;

/// The groups of `runs`, ordered by stream, learner, width and wait; runs within a group by seed. The runs
/// outlive the groups.
std::vector<RunGroup> group_runs(std::span<const RunRecord> runs);

/// The indices of groups that differ only in learner.replay: without replay, with replay.
std::vector<std::pair<std::size_t, std::size_t>> replay_pairs(std::span<const RunGroup> groups);

/// A row of the paper's Table 1: a language model that has trained on k mega-batches one by one, and one that has waited for
/// them and trained on their union.
struct UnionPair {
  std::size_t sequential = 0, iid = 0;  // indices of groups that differ only in learner.wait: 1 and k
  std::int64_t k = 0;
  Spread sequential_ppl, iid_ppl;  // at t = k
};
/// The rows for learners without replay; a learner with replay trains on the union in both cases.
std::vector<UnionPair> union_pairs(std::span<const RunGroup> groups);

}  // namespace alma
