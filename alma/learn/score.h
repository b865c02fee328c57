#pragma once
#include <cstdint>

namespace alma {

/// The score of a number of predictions, such as classes of images or tokens of texts.
struct Score {
  std::int64_t predictions = 0;
  std::int64_t hits = 0;
  double loss_sum = 0;  // of cross-entropies, in nats

  double accuracy() const { return static_cast<double>(hits) / static_cast<double>(predictions); }
  /// The error, in [0, 1]; computed from the count of misses, so that it is exact.
  double error() const { return static_cast<double>(predictions - hits) / static_cast<double>(predictions); }
  /// The mean cross-entropy.
  double loss() const { return loss_sum / static_cast<double>(predictions); }
  /// exp(loss()), at least 1.
  double perplexity() const;
};

/// The measure for a kind of samples: it is recorded, and decides which weights of a fit are the best.
enum class Measure {
  error,       // a fit compares accuracies
  perplexity,  // a fit compares perplexities
};

/// The measure's name in records and checkpoints: "error", "ppl".
const char* name_of(Measure measure);
/// The error or the perplexity.
double measured(Measure measure, const Score& score);
/// The quality, which a fit compares: the accuracy or the perplexity.
double quality(Measure measure, const Score& score);
/// Whether a quality is better than the best so far, by more than `delta`. Anything is better than NaN.
bool is_better(Measure measure, double quality, double best, double delta);
/// A perplexity per token as bits per byte of a text that has so many bytes per token.
double bits_per_byte(double perplexity, double bytes_per_token);
/// The error or perplexity of random guesses among that many classes.
double chance(Measure measure, std::int64_t classes);

}  // namespace alma
