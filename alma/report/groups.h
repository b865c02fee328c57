#pragma once
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "alma/report/run_records.h"

namespace alma {

/// A measure over seeds.
struct Spread {
  double mean = 0;
  double s = 0;  // sample standard deviation; 0 of a single seed
  double low = 0, high = 0;
};
Spread spread_of(std::span<const double> values);

/// The error, or the perplexity, at mega-batch t over seeds.
struct CurvePoint {
  std::int64_t t = 0;
  double mean = 0, low = 0, high = 0;
};

/// A language model after mega-batch t: a point of the paper's Fig. 5, an entry of its Table 2.
struct Stage {
  std::int64_t t = 0;
  Spread ppl;          // after t
  Spread mean_ppl;     // mean over the mega-batches 1 .. t
  double flops = 0;    // of training until then; means over seeds, like the following
  double params = 0;   // mean over the mega-batches 1 .. t, which is the figure's axis
  double experts = 0;  // of a layer in all members; 0 if it is not known
};

/// Runs that differ in their seeds alone: a point of a figure.
struct RunGroup {
  std::string stream;  // "mnist", and what tells it from others of that name: errors of two streams have no common scale
  std::string panel;   // "Ens4 h=16", and what else tells it from others of its stream
  std::string label;   // "Ens4 h=16 w=10 replay", likewise
  std::vector<const RunRecord*> runs;
  Spread cer, final_error, seconds;  // language models have stages instead of CER and error
  std::optional<Spread> paper_cer;
  double mem = 0, macs = 0, flops = 0;  // means; see Aggregates
  std::int64_t parameters = 0;          // of the learner at the end, of the first seed
  double inference_macs = 0;            // likewise
  std::vector<CurvePoint> curve;        // where the measure changes, 1 and B, at most kCurvePoints; constant in between
  std::vector<Stage> stages;            // of language models: 1 .. B, thinned alike for all of a stream

  const Config& config() const { return runs.front()->config; }
};
inline constexpr std::size_t kCurvePoints = 100;

/// In the order of stream, learner, width, wait; within a group by seed. The runs outlive the groups.
std::vector<RunGroup> group_runs(std::span<const RunRecord> runs);

/// Indices of groups that differ in learner.replay alone: without it, with it.
std::vector<std::pair<std::size_t, std::size_t>> replay_pairs(std::span<const RunGroup> groups);

/// A row of the paper's Table 1: a language model that has learned k mega-batches one by one, and one that has waited for
/// them and learned from their union.
struct UnionPair {
  std::size_t sequential = 0, iid = 0;  // indices of groups that differ in learner.wait alone: 1 and k
  std::int64_t k = 0;
  Spread sequential_ppl, iid_ppl;  // at t = k
};
/// Without replay, since a learner that replays has the union either way.
std::vector<UnionPair> union_pairs(std::span<const RunGroup> groups);

}  // namespace alma
