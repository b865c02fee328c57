#include "alma/reproduce/claims.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "alma/config/kinds.h"
#include "alma/console/text.h"
#include "alma/report/groups.h"
#include "base/error.h"

namespace alma {

namespace {

struct Mean {
  double value = 0;
  double squared_error = 0;  // of the mean: s^2 / n
  std::size_t seeds = 0;
};

Mean mean_of(const std::vector<double>& values) {
  const Spread spread = spread_of(values);
  return {spread.mean, spread.s * spread.s / static_cast<double>(std::max<std::size_t>(1, values.size())), values.size()};
}

// "35.31 ± 0.63", the mean and the sample standard deviation; the latter is left out for one seed.
std::string shown(const Mean& mean, int decimals) {
  if (mean.seeds < 2) return fixed(mean.value, decimals);
  return fixed(mean.value, decimals) + " ± " +
         fixed(std::sqrt(mean.squared_error * static_cast<double>(mean.seeds)), decimals);
}

std::string name_of(const PaperPoint& point) {
  return point.learner + " h=" + std::to_string(point.h) + (point.replay ? " replay" : "");
}

/// Builds a claim from comparisons and the values that they compare.
class ClaimMaker {
 public:
  ClaimMaker(std::string sentence, std::string paper) : claim_{std::move(sentence), std::move(paper), "", {}} {}

  void show(const std::string& text) { claim_.ours += (claim_.ours.empty() ? "" : "; ") + text; }

  /// Adds the comparison that the claim says a is less than b.
  void less(const Mean& a, const Mean& b) {
    const double difference = b.value - a.value, noise = 2 * std::sqrt(a.squared_error + b.squared_error);
    one_seed_ |= a.seeds < 2 || b.seeds < 2;
    ++made_;
    if (difference > noise) ++right_;
    if (difference < -noise) ++wrong_;
  }

  Claim finish() {
    if (made_ == 0) show("no runs to compare");
    if (one_seed_) show("single seeds");
    claim_.verdict = wrong_ > 0 ? Verdict::does_not : made_ > 0 && right_ == made_ ? Verdict::holds : Verdict::cannot_tell;
    return claim_;
  }

 private:
  Claim claim_;
  int made_ = 0, right_ = 0, wrong_ = 0;
  bool one_seed_ = false;
};

/// Queries about the runs.
class Points {
 public:
  explicit Points(const Measured& measured) : measured_(measured) {}

  const MeasuredPoint* find(const PaperPoint& point) const {
    const auto found = measured_.find(point);
    return found == measured_.end() ? nullptr : &found->second;
  }
  std::optional<Mean> cer(const PaperPoint& point) const {
    const MeasuredPoint* found = find(point);
    if (found == nullptr) return std::nullopt;
    return mean_of(found->cer);
  }
  /// The waiting times of a learner's runs, in ascending order.
  std::vector<std::int64_t> waits(const std::string& learner, std::int64_t h) const {
    std::vector<std::int64_t> waits;
    for (const auto& [point, runs] : measured_)
      if (point.learner == learner && point.h == h && !point.replay) waits.push_back(point.wait);
    return waits;
  }
  std::set<std::int64_t> widths() const {
    std::set<std::int64_t> widths;
    for (const auto& [point, runs] : measured_) widths.insert(point.h);
    return widths;
  }
  const Measured& all() const { return measured_; }

 private:
  const Measured& measured_;
};

constexpr std::int64_t kSmall = 4, kLarge = 64;

Claim intermediate_wait(const Points& points, const std::string& paper) {
  ClaimMaker claim("An intermediate wait is best for small models (SM h=4, CER by wait)", paper);
  const auto waits = points.waits("SM", kSmall);
  if (waits.size() < 3) return claim.finish();
  std::int64_t best = waits[1];  // among the waits between the shortest and the longest
  for (std::int64_t wait : waits) {
    const Mean cer = *points.cer({"SM", kSmall, wait});
    claim.show("w=" + std::to_string(wait) + ": " + shown(cer, 2));
    if (wait != waits.back() && wait != waits.front() && cer.value < points.cer({"SM", kSmall, best})->value) best = wait;
  }
  for (std::int64_t extreme : {waits.front(), waits.back()})
    claim.less(*points.cer({"SM", kSmall, best}), *points.cer({"SM", kSmall, extreme}));
  return claim.finish();
}

// The claim: from the second waiting time on, waiting longer is worse.
Claim small_waits(const Points& points, const std::string& paper) {
  ClaimMaker claim("Small waits suffice for large models (SM h=64, CER by wait)", paper);
  const auto waits = points.waits("SM", kLarge);
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const Mean cer = *points.cer({"SM", kLarge, waits[i]});
    claim.show("w=" + std::to_string(waits[i]) + ": " + shown(cer, 2));
    if (i >= 2) claim.less(*points.cer({"SM", kLarge, waits[i - 1]}), cer);
  }
  return claim.finish();
}

Claim larger_is_better(const Points& points, std::int64_t wait, const std::string& paper) {
  ClaimMaker claim("Larger models are more efficient (CER falls with h; SM h=64 against Ens4 h=16 of equal compute, w=" +
                       std::to_string(wait) + ")",
                   paper);
  std::optional<Mean> before;
  for (std::int64_t h : points.widths()) {
    const auto cer = points.cer({"SM", h, wait});
    if (!cer) continue;
    claim.show(name_of({"SM", h, wait}) + ": " + shown(*cer, 2));
    if (before) claim.less(*cer, *before);
    before = cer;
  }
  const auto single = points.cer({"SM", kLarge, wait}), ensemble = points.cer({"Ens4", 16, wait});
  if (single && ensemble) {
    claim.show("Ens4 h=16: " + shown(*ensemble, 2));
    claim.less(*single, *ensemble);
  }
  return claim.finish();
}

Claim ensembles(const Points& points, std::int64_t wait, const std::string& paper) {
  ClaimMaker claim("Ensembles give the best trade-off at scale (h=64, w=" + std::to_string(wait) + ", CER)", paper);
  const auto ens = points.cer({"Ens4", kLarge, wait});
  if (!ens) return claim.finish();
  claim.show("Ens4: " + shown(*ens, 2));
  for (const auto& [point, runs] : points.all()) {
    if (point.h != kLarge || point.wait != wait || point.replay || point.learner == "Ens4") continue;
    claim.show(point.learner + ": " + shown(mean_of(runs.cer), 2));
    claim.less(*ens, mean_of(runs.cer));
  }
  return claim.finish();
}

/// The learner with the lowest CER among those of the same waiting time whose `cost` is not larger; null if there is none.
template <class Allowed>
const PaperPoint* best_within(const Points& points, const PaperPoint& point, double MeasuredPoint::*cost,
                              const Allowed& allowed) {
  const PaperPoint* best = nullptr;
  for (const auto& [other, runs] : points.all())
    if (other.wait == point.wait && !other.replay && allowed(other) && runs.*cost <= points.find(point)->*cost &&
        (best == nullptr || mean_of(runs.cer).value < points.cer(*best)->value))
      best = &other;
  return best;
}

void compare(ClaimMaker& claim, const Points& points, const PaperPoint& better, const PaperPoint& worse) {
  claim.show("w=" + std::to_string(worse.wait) + ": " + name_of(worse) + " " + shown(*points.cer(worse), 2) + ", " +
             name_of(better) + " " + shown(*points.cer(better), 2));
  claim.less(*points.cer(better), *points.cer(worse));
}

Claim replay(const Points& points, const std::string& paper) {
  ClaimMaker claim("Replay does not improve the trade-off (CER with replay against the best without that computes no more)",
                   paper);
  for (const auto& [point, runs] : points.all()) {
    if (!point.replay) continue;
    const PaperPoint* best = best_within(points, point, &MeasuredPoint::macs, [](const PaperPoint&) { return true; });
    if (best != nullptr) compare(claim, points, *best, point);
  }
  return claim.finish();
}

Claim growing(const Points& points, std::int64_t wait, const std::string& learner, const std::string& paper) {
  ClaimMaker claim("Growing does not beat a fixed model of the same memory (CER of " + learner +
                       " against the best fixed learner that is no larger on average)",
                   paper);
  for (const auto& [point, runs] : points.all()) {
    if (point.learner != learner || !runs.grows || point.replay || point.wait > wait) continue;
    const PaperPoint* best =
        best_within(points, point, &MeasuredPoint::mem, [&](const PaperPoint& other) { return !points.find(other)->grows; });
    if (best != nullptr) compare(claim, points, *best, point);
  }
  return claim.finish();
}

// Table 1's ablation. A learner that waits for k mega-batches trains on their union as often as one that does not wait
// trains on each: its error at t = k is the i.i.d. one.
Claim sequential(const Points& points, const std::string& paper) {
  ClaimMaker claim(
      "Sequential is harder than i.i.d. (error at t=k: as many updates one mega-batch after the other, or on the "
      "union of k)",
      paper);
  for (const auto& [point, runs] : points.all()) {
    if ((point.learner != "SM" && point.learner != "Ens4") || point.replay) continue;
    const auto waits = points.waits(point.learner, point.h);
    if (point.wait != waits.front()) continue;
    for (std::size_t i = 1; i < waits.size(); ++i) {
      const std::int64_t k = waits[i];
      std::vector<double> errors;
      for (const auto& curve : runs.errors) errors.push_back(curve[static_cast<std::size_t>(k - 1)]);
      const Mean one_by_one = mean_of(errors), together = mean_of(points.find({point.learner, point.h, k})->first_error);
      if (k == waits.back())
        claim.show(name_of(point) + " k=" + std::to_string(k) + ": " + shown(one_by_one, 4) + ", i.i.d. " +
                   shown(together, 4));
      claim.less(together, one_by_one);
    }
  }
  return claim.finish();
}

// Numbers of the paper: Eq. (1) of its curves where those are published, else of its figures' normalisation C, by
// (C / 5000) (B + w - 1) less the w - 1 steps that it counts twice.
std::vector<Claim> mnist_claims(const Points& points) {
  return {intermediate_wait(points, "w=1: 115.43; w=10: 91.19; w=25: 88.85; w=500: 449.19"),
          small_waits(points, "w=1: 35.31; w=10: 33.47; w=25: 42.41; w=500: 449.12"),
          larger_is_better(points, 10, "in the figures' CER: h=4: 908.9; h=16: 433.3; h=64: 331.9; Ens4 h=16: 337.2"),
          ensembles(points, 10, "in the figures' CER: Ens4 272.9; SM 331.9; UMix4 295.6; gEns 307.2"),
          replay(points, "said of CIFAR-10; no numbers for MNIST"),
          growing(points, 10, "gEns",
                  "in the figures' CER, w=10: gEns h=4 721.8 (202,725 parameters on average), SM h=64 331.9 (111,150)"),
          growing(points, 10, "gMoE", "in the figures' CER, w=10: gMoE h=4 645.2 (124,080), SM h=64 331.9 (111,150)"),
          sequential(points, "SM h=4, k=500: .194, i.i.d. .0942; SM h=64: .047, .0216; Ens4 h=64: .033, .0162")};
}

std::vector<Claim> cifar10_claims(const Points& points) {
  return {
      intermediate_wait(points, "w=2: 62.83; w=10: 54.55; w=100: 89.54"),
      larger_is_better(points, 10, "in the figures' CER: h=4: 2696.4; h=16: 1674.1; h=64: 1350.4; Ens4 h=16: 1404.1"),
      ensembles(points, 10, "in the figures' CER: Ens4 1100.5; SM 1350.4; UMix2 1333.7; gEns 1189.4"),
      replay(points, "in the figures' CER, w=10: SM h=16 with replay 1436.7 at 120 TFLOPS, h=64 without 1350.4 at 320"),
      growing(points, 10, "gEns",
              "in the figures' CER, w=10: gEns h=4 2670.4 (13,805 parameters on average), SM h=16 1674.1 (35,930)"),
      growing(points, 10, "gMoE",
              "in the figures' CER, w=10: gMoE h=64 1325.3 (3,456,822), Ens4 h=64 1100.5 (2,233,640); but gMoE h=4 2314.8 "
              "(17,382), Ens4 h=4 2381.6 (10,040)"),
      growing(points, 10, "FF", "in the figures' CER, w=10: FF h=4 2016.6 (45,041), SM h=16 1674.1 (35,930)"),
      sequential(points, "SM h=4, k=100: .5551 (w=2), i.i.d. .4437; SM h=64: .2649, .1133; Ens4 h=64: .2159, .0809")};
}

/// The paper's conclusions about a data set.
struct PaperClaims {
  std::string data_set;
  std::vector<Claim> (*check)(const Points&);
};
const PaperClaims kPapers[] = {{"mnist", mnist_claims}, {"cifar10", cifar10_claims}};

}  // namespace

Measured measure(std::span<const RunRecord> runs) {
  Measured measured;
  for (const RunRecord& run : runs) {
    if (run.measures.of_language() || run.config.learner.wait == 0) continue;  // the paper has no "auto"
    const Config::Learner& learner = run.config.learner;
    const PaperPoint point{learner_name(run.config), run.config.model.width, learner.wait, learner.replay};
    MeasuredPoint& at = measured[point];
    at.cer.push_back(run.measures.cer);
    at.first_error.push_back(run.records[static_cast<std::size_t>(learner.wait - 1)].error);
    std::vector<double>& errors = at.errors.emplace_back();
    for (const MegaBatchRecord& record : run.records) errors.push_back(record.error);
    at.grows = run.records.back().params > run.records.front().params;
    at.mem = static_cast<double>(run.measures.mem);
    at.macs = static_cast<double>(run.measures.comp_macs);
  }
  return measured;
}

const std::vector<std::string>& paper_data_sets() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const PaperClaims& paper : kPapers) all.push_back(paper.data_set);
    return all;
  }();
  return names;
}

std::vector<Claim> check_claims(const Measured& measured, const std::string& data_set) {
  const Points points(measured);
  for (const PaperClaims& paper : kPapers)
    if (paper.data_set == data_set) return paper.check(points);
  fail(ErrorKind::usage, "the paper concludes nothing about ", data_set, "; expected mnist or cifar10");
}

std::string markdown_table(std::span<const Claim> claims) {
  std::string table = "| claim | paper | alma, mean ± s over seeds | verdict |\n|---|---|---|---|\n";
  for (const Claim& claim : claims) {
    const char* verdict = claim.verdict == Verdict::holds      ? "holds"
                          : claim.verdict == Verdict::does_not ? "does not hold"
                                                               : "undecided";
    table += "| " + claim.sentence + " | " + claim.paper + " | " + claim.ours + " | " + verdict + " |\n";
  }
  return table;
}

}  // namespace alma
