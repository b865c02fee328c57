#include "alma/report/groups.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "alma/config/kinds.h"

namespace alma {

namespace {

// The key that the runs of one group share.
std::string group_key(Config config) {
  config.seed = 0;
  return outcome_key(std::move(config));
}

template <class Value>
std::vector<double> values_of(const RunGroup& group, const Value& value) {
  std::vector<double> values;
  for (const RunRecord* run : group.runs) values.push_back(value(*run));
  return values;
}

/// The error or perplexity at the i-th mega-batch.
Spread measure_at(const RunGroup& group, std::size_t i) {
  return spread_of(values_of(group, [i](const RunRecord& run) { return judged_by(run.records[i]); }));
}

/// At most kCurvePoints, evenly spaced, the first and the last among them.
template <class Point>
std::vector<Point> thinned(std::vector<Point> points) {
  if (points.size() <= kCurvePoints) return points;
  for (std::size_t i = 0; i < kCurvePoints; ++i) points[i] = points[i * (points.size() - 1) / (kCurvePoints - 1)];
  points.resize(kCurvePoints);
  return points;
}

std::vector<CurvePoint> curve_of(const RunGroup& group) {
  std::vector<CurvePoint> points;
  const std::size_t batches = group.runs.front()->records.size();
  for (std::size_t t = 0; t < batches; ++t) {
    const bool changes = std::any_of(group.runs.begin(), group.runs.end(), [t](const RunRecord* run) {
      return t == 0 || judged_by(run->records[t]) != judged_by(run->records[t - 1]);
    });
    if (!changes && t + 1 < batches) continue;
    const Spread spread = measure_at(group, t);
    points.push_back({static_cast<std::int64_t>(t) + 1, spread.mean, spread.low, spread.high});
  }
  return thinned(std::move(points));
}

/// The experts per layer at each mega-batch, summed over all models; 0 where unknown, as of a model that grows and whose
/// records do not say it.
std::vector<double> experts_of(const RunRecord& run) {
  std::vector<double> experts;
  const bool grows = static_cast<bool>(learner_kind(run.config).growths);
  std::int64_t updates = 0;
  for (const MegaBatchRecord& record : run.records) {
    updates += record.updated;
    const std::int64_t configured = grows ? 0 : run.config.model.experts * count_models(run.config, updates);
    experts.push_back(static_cast<double>(record.experts.value_or(configured)));
  }
  return experts;
}

std::vector<Size> sizes_of(const RunRecord& run) {
  std::vector<Size> sizes;
  const std::vector<double> experts = experts_of(run);
  for (std::size_t i = 0; i < experts.size(); ++i) {
    const bool mixture = run.config.model.experts > 1;
    const Size size{static_cast<std::int64_t>(i) + 1, run.records[i].params, mixture ? experts[i] : 0};
    if (sizes.empty() || i + 1 == experts.size() || !size.same(sizes.back())) sizes.push_back(size);
  }
  return thinned(std::move(sizes));
}

std::vector<Stage> stages_of(const RunGroup& group) {
  struct Means {  // means of a run over the mega-batches so far
    double ppl = 0, params = 0;
    std::vector<double> experts;  // of each mega-batch
  };
  std::vector<Means> means;
  for (const RunRecord* run : group.runs) means.push_back({0, 0, experts_of(*run)});
  std::vector<Stage> stages;
  const double seeds = static_cast<double>(group.runs.size());
  for (std::size_t i = 0; i < group.runs.front()->records.size(); ++i) {
    const auto t = static_cast<double>(i + 1);
    Stage stage{static_cast<std::int64_t>(i) + 1, measure_at(group, i), {}, 0, 0, 0};
    std::vector<double> ppl;
    for (std::size_t s = 0; s < means.size(); ++s) {
      const MegaBatchRecord& record = group.runs[s]->records[i];
      means[s].ppl += (judged_by(record) - means[s].ppl) / t;  // a running mean, since a sum could overflow
      means[s].params += (static_cast<double>(record.params) - means[s].params) / t;
      ppl.push_back(means[s].ppl);
      stage.flops += static_cast<double>(record.train_flops) / seeds;
      stage.params += means[s].params / seeds;
      stage.experts += means[s].experts[i] / seeds;
    }
    stage.mean_ppl = spread_of(ppl);
    stages.push_back(stage);
  }
  return thinned(std::move(stages));
}

void measure(RunGroup& group) {
  const auto spread = [&](const auto& value) { return spread_of(values_of(group, value)); };
  const auto count = [](Count c) { return static_cast<double>(c); };
  group.cer = spread([](const RunRecord& run) { return run.measures.cer; });
  group.final_error = spread([](const RunRecord& run) { return run.measures.final_error; });
  group.seconds = spread([](const RunRecord& run) { return run.seconds; });
  if (group.runs.front()->measures.paper_cer)
    group.paper_cer = spread([](const RunRecord& run) { return *run.measures.paper_cer; });
  group.mem = spread([&](const RunRecord& run) { return count(run.measures.mem); }).mean;
  group.macs = spread([&](const RunRecord& run) { return count(run.measures.comp_macs); }).mean;
  group.flops = spread([&](const RunRecord& run) { return count(run.measures.comp_flops); }).mean;
  const MegaBatchRecord& last = group.runs.front()->records.back();
  group.parameters = last.params;
  group.inference_macs = count(last.inference_macs);
  group.curve = curve_of(group);
  group.sizes = sizes_of(*group.runs.front());
  if (group.runs.front()->measures.of_language()) group.stages = stages_of(group);
  if (std::ranges::all_of(group.runs, [](const RunRecord* run) { return run->measures.bits_per_byte.has_value(); })) {
    group.bits_per_byte = spread([](const RunRecord& run) { return *run.measures.bits_per_byte; });
    group.final_bits_per_byte = spread([](const RunRecord& run) { return *run.records.back().bits_per_byte; });
  }
}

// The keys that define the data and the measure; those of the permutation and of the normalisation are not among them.
bool is_of_stream(const std::string& key) {
  static const std::set<std::string> others = {"stream.validation", "stream.seed", "stream.mean", "stream.std"};
  return key.starts_with("stream.") && !others.contains(key);
}

// The keys that other parts of a label show, or that no outcome depends on.
bool is_named(const std::string& key) {
  static const std::set<std::string> keys = {"seed", "learner.wait", "learner.replay", "train.checkpoint_seconds"};
  return keys.contains(key);
}

// Where groups have the same text and stream, adds to the `text` the keys in which they differ, among those
// that `counts` selects.
template <class Counts>
void tell_apart(std::vector<RunGroup>& groups, std::string RunGroup::*text, const Counts& counts) {
  std::map<std::pair<std::string, std::string>, std::vector<RunGroup*>> same;
  for (RunGroup& group : groups) same[{group.stream, group.*text}].push_back(&group);
  for (const auto& [name, alike] : same) {
    std::set<std::string> keys;
    for (const RunGroup* group : alike)
      for (const ConfigDifference& d : differences(alike.front()->config(), group->config()))
        if (counts(d.key)) keys.insert(d.key);
    for (RunGroup* group : alike)
      for (const ConfigValue& value : list_config(group->config()))
        if (keys.contains(value.key)) group->*text += " " + value.key + "=" + value.value;
  }
}

void name_streams(std::vector<RunGroup>& groups) {
  for (RunGroup& group : groups) group.stream = group.config().stream.dataset;
  tell_apart(groups, &RunGroup::stream, is_of_stream);
}

std::string model_name(const Config& config) { return learner_name(config) + " " + model_size(config); }

// The keys that distinguish groups are the same for all waits, with replay and without.
void label(std::vector<RunGroup>& groups) {
  for (RunGroup& group : groups) group.panel = model_name(group.config());
  tell_apart(groups, &RunGroup::panel, [](const std::string& key) { return !is_named(key); });
  for (RunGroup& group : groups) {
    const Config::Learner& learner = group.config().learner;
    const std::string model = model_name(group.config());
    group.label =
        model + " w=" + wait_name(learner.wait) + (learner.replay ? " replay" : "") + group.panel.substr(model.size());
  }
}

}  // namespace

Spread spread_of(std::span<const double> values) {
  Spread spread;
  if (values.empty()) return spread;
  const auto n = static_cast<double>(values.size());
  for (double value : values) spread.mean += value / n;
  for (double value : values) spread.s += (value - spread.mean) * (value - spread.mean);
  spread.s = values.size() < 2 ? 0 : std::sqrt(spread.s / (n - 1));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  spread.low = *low, spread.high = *high;
  return spread;
}

std::vector<RunGroup> group_runs(std::span<const RunRecord> runs) {
  std::map<std::string, RunGroup> by_key;
  for (const RunRecord& run : runs) by_key[group_key(run.config)].runs.push_back(&run);
  std::vector<RunGroup> groups;
  for (auto& [key, group] : by_key) {
    std::stable_sort(group.runs.begin(), group.runs.end(),
                     [](const RunRecord* a, const RunRecord* b) { return a->config.seed < b->config.seed; });
    measure(group);
    groups.push_back(std::move(group));
  }
  name_streams(groups);
  label(groups);
  const auto place = [](const RunGroup& group) {
    const Config& c = group.config();
    return std::tuple(group.stream, learner_name(c), c.model.width, c.learner.wait, c.learner.replay);
  };
  std::stable_sort(groups.begin(), groups.end(), [&](const RunGroup& a, const RunGroup& b) { return place(a) < place(b); });
  return groups;
}

std::vector<std::pair<std::size_t, std::size_t>> replay_pairs(std::span<const RunGroup> groups) {
  std::map<std::string, std::size_t> without;
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (!groups[i].config().learner.replay) without[group_key(groups[i].config())] = i;
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Config config = groups[i].config();
    if (!config.learner.replay) continue;
    config.learner.replay = false;
    if (const auto found = without.find(group_key(config)); found != without.end()) pairs.emplace_back(found->second, i);
  }
  return pairs;
}

std::vector<UnionPair> union_pairs(std::span<const RunGroup> groups) {
  std::map<std::string, std::size_t> sequential;
  const auto counts = [](const RunGroup& group) { return !group.stages.empty() && !group.config().learner.replay; };
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (counts(groups[i]) && groups[i].config().learner.wait == 1) sequential[group_key(groups[i].config())] = i;
  std::vector<UnionPair> pairs;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Config config = groups[i].config();
    const std::int64_t k = std::exchange(config.learner.wait, 1);
    const auto found = sequential.find(group_key(config));
    if (k <= 1 || !counts(groups[i]) || found == sequential.end()) continue;
    const auto at = static_cast<std::size_t>(k - 1);
    pairs.push_back({found->second, i, k, measure_at(groups[found->second], at), measure_at(groups[i], at)});
  }
  return pairs;
}

}  // namespace alma
