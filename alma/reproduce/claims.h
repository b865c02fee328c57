#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "alma/report/run_records.h"

namespace alma {

/// A learner of the paper's figures at one waiting time.
struct PaperPoint {
  std::string learner;  // "SM", "Ens4", "UMix4", "gEns", "gMoE", "FF"
  std::int64_t h = 0, wait = 0;
  bool replay = false;

  auto operator<=>(const PaperPoint&) const = default;
};

/// The runs of one point, which differ only in their seeds.
struct MeasuredPoint {
  std::vector<double> cer;  // Eq. (1), one value per seed
  // The test error after the first update, at t = w, which trains on w mega-batches as one i.i.d. set.
  std::vector<double> first_error;
  std::vector<std::vector<double>> errors;  // per seed, for t = 1 .. B
  bool grows = false;                       // it has more parameters at the end than at first
  double mem = 0;                           // sum over t of the parameters
  double macs = 0;                          // of training
};
using Measured = std::map<PaperPoint, MeasuredPoint>;
/// The points of `runs`. Language models are ignored, since no claim is about them.
Measured measure(std::span<const RunRecord> runs);

enum class Verdict { holds, does_not, cannot_tell };

/// A claim of the paper, checked against runs.
struct Claim {
  std::string sentence;
  std::string paper;  // the paper's numbers
  std::string ours;   // our numbers, with the spread over seeds
  Verdict verdict = Verdict::cannot_tell;
};

/// The data sets of the paper's vision experiments: mnist, cifar10.
const std::vector<std::string>& paper_data_sets();

/// The claims of Caccia et al. 2022 from their vision experiments on one of paper_data_sets(), by the CER of Eq. (1) and the
/// final error. A claim is a set of comparisons, each between two means over seeds. It holds if every possible comparison
/// agrees with it, and does not hold if one contradicts it, in both cases by more than twice the standard error of the
/// difference; otherwise, or without runs to compare, it is undecided. Single seeds have no spread: the sign decides, and
/// `ours` says so.
std::vector<Claim> check_claims(const Measured& measured, const std::string& data_set);

/// "| claim | paper | alma | verdict |".
std::string markdown_table(std::span<const Claim> claims);

}  // namespace alma
