#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "alma/report/run_records.h"

namespace alma {

/// A learner of the paper's figures at one waiting time.
struct PaperPoint {
  std::string learner;  // "SM", "Ens4", "UMix4", "gEns"
  std::int64_t h = 0, wait = 0;
  bool replay = false;

  auto operator<=>(const PaperPoint&) const = default;
};

/// The runs of one point that differ in their seeds alone.
struct MeasuredPoint {
  std::vector<double> cer;  // Eq. (1), one of each seed
  // The test error after the first update, at t = w: of w mega-batches trained on as one, i.i.d.
  std::vector<double> first_error;
  std::vector<std::vector<double>> errors;  // of each seed, t = 1 .. B
  double mem = 0;                           // sum over t of the parameters
  double macs = 0;                          // of training
};
using Measured = std::map<PaperPoint, MeasuredPoint>;
/// Runs of language models, which the claims are not about, are ignored.
Measured measure(std::span<const RunRecord> runs);

enum class Verdict { holds, does_not, cannot_tell };

/// A sentence of the paper held against runs.
struct Claim {
  std::string sentence;
  std::string paper;  // its numbers
  std::string ours;   // with the spread over seeds
  Verdict verdict = Verdict::cannot_tell;
};

/// The data sets of the paper's vision experiments: mnist, cifar10.
const std::vector<std::string>& paper_data_sets();

/// What Caccia et al. 2022 conclude of their vision experiments, about one of paper_data_sets(), by the CER of
/// Eq. (1) and the final error. A claim is a set of comparisons, each of two means over seeds. It holds if all that can be
/// made come out as it says, and does not if one comes out the other way, by more than twice the standard error of the
/// difference each time; in between, or without runs to compare, nothing can be told. Single seeds have no spread: of them
/// the sign decides, and `ours` says so.
std::vector<Claim> check_claims(const Measured& measured, const std::string& data_set);

/// "| claim | paper | alma | verdict |".
std::string markdown_table(std::span<const Claim> claims);

}  // namespace alma
