#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace alma {

/// The rule of learner.wait = "auto": when to train, decided at each arrival.
///
/// A model that was trained on n samples has an error that falls as a n^-b. To wait for a little more makes the next model
/// better by b e(n) dn / n for as long as it serves, and keeps the present one that much longer. Whoever does not know how
/// long the stream goes on may expect it to go on as long as it has, so that the next model serves about as long as its data
/// took to collect; then both sides are equal where the present error is 1 + b times that of the next model, which is at
///     n = (1 + b)^(1 / b) m,
/// m being the samples of the last update: between e = 2.72 (b -> 0) and 2 (b = 1) times as many. The exponent b is fitted
/// to the learner's own validation errors so far. Nothing else is looked at: neither the test set nor B.
class AutoWait {
 public:
  /// Whether an update on `samples` training samples should happen now. The first one happens at once.
  bool trains(std::int64_t samples) const;
  /// An update on `samples` training samples has ended with this error on `validated` validation samples.
  void has_trained(std::int64_t samples, std::optional<double> error, std::int64_t validated);
  /// b: by least squares of log e over log n, each error weighted by its accuracy, with .3 +- .2 as what is known before.
  double exponent() const;
  /// The number of samples that the next update waits for; 0 before the first.
  std::int64_t awaited() const;

 private:
  struct Point {
    double log_samples, log_error, weight;
  };
  std::vector<Point> points_;
  std::int64_t last_ = 0;
};

}  // namespace alma
