#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace alma {

// The yardstick of language models: n-gram models, fitted on the tokens that a model has seen and judged on the tokens that
// it is judged on.

/// A model of the next token.
class NGramModel {
 public:
  virtual ~NGramModel() = default;
  /// ln p(token | the tokens before it), of which the last ones count. Every token below the vocabulary's size has a
  /// probability above 0, and those of all of them sum to 1.
  virtual double log_probability(std::span<const std::int32_t> context, std::int32_t token) const = 0;
};

/// A loss over tokens.
struct TokenLoss {
  std::int64_t tokens = 0;
  double nats = 0;

  double nats_per_token() const { return nats / static_cast<double>(tokens); }
  double perplexity() const;
  /// `bytes`: the length of the tokens' text.
  double bits_per_byte(std::int64_t bytes) const;
};

/// The loss of predicting tokens[first], tokens[first + 1], ..., each from all tokens before it.
TokenLoss judge(const NGramModel& model, std::span<const std::int32_t> tokens, std::size_t first);

/// The n-grams of one order, as pairs of a history (the number of an n-gram of the order below) and a token; numbered from
/// 0 in the order of their first occurrence.
class NGramTable {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  NGramTable();
  /// The pair's number; kNone if it has not occurred.
  std::uint32_t find(std::uint32_t history, std::int32_t token) const;
  /// The same, and adds it. Throws Error (failed) beyond 2^32 - 2 pairs.
  std::uint32_t insert(std::uint32_t history, std::int32_t token);
  std::uint32_t size() const { return static_cast<std::uint32_t>(keys_.size()); }
  std::uint32_t history(std::uint32_t pair) const { return static_cast<std::uint32_t>(keys_[pair] >> 32); }
  std::int32_t token(std::uint32_t pair) const { return static_cast<std::int32_t>(keys_[pair]); }

 private:
  std::size_t slot_of(std::uint64_t key) const;
  void grow();

  std::vector<std::uint64_t> keys_;   // by number: history in the upper half, token in the lower
  std::vector<std::uint32_t> slots_;  // open addressing; a power of two, at most two thirds are used
};

/// Interpolated modified Kneser-Ney (Chen and Goodman, "An empirical study of smoothing techniques for language modeling",
/// 1999). For a history h with the total T of c(h, v) over all tokens v,
///   p(w | h) = max(0, c(h, w) - D(c(h, w))) / T + (sum over v of D(c(h, v))) / T * p(w | h without its first token).
/// The count c is the number of occurrences at the highest order; below it, the number of different tokens before the
/// n-gram. Below order 1 is the uniform distribution. Each order has three discounts, D(1), D(2) and D(3) for 3 and more,
/// estimated from the numbers of its n-grams that occur once to four times. Where that is impossible (no n-gram occurs once,
/// twice or three times, or the result is no discount), they are 0.5, 1 and 1.5.
class KneserNey final : public NGramModel {
 public:
  /// Throws Error (usage) unless the order is 1 .. 5.
  KneserNey(int order, std::int32_t vocabulary);

  /// Counts the n-grams inside a run of tokens, each 0 <= token < vocabulary.
  void add(std::span<const std::int32_t> run);
  /// Estimates the model, after the last add().
  void fit();
  double log_probability(std::span<const std::int32_t> context, std::int32_t token) const override;

 private:
  struct Histories {                   // of one order, by the number of the history
    std::vector<std::uint32_t> total;  // of the counts of its n-grams
    std::vector<float> discounted;     // the sum of their discounts, over the total
  };
  struct Order {
    NGramTable grams;
    std::vector<std::uint32_t> counts;
    std::array<double, 4> discounts{};  // by count; 3: three and more
    Histories histories;
  };
  void estimate(Order& order, std::uint32_t histories);

  std::int32_t vocabulary_;
  std::vector<Order> orders_;  // [k]: order k + 1
};

/// The interpolated bigram (Jelinek and Mercer 1980), with one weight for all histories:
///   p(w | v) = weight * c(v, w) / c(v, .) + (1 - weight) * (c(w) + 1) / (tokens + vocabulary).
/// The weight is the one under which the bigrams are likeliest, each left out of the counts in turn.
class InterpolatedBigram final : public NGramModel {
 public:
  explicit InterpolatedBigram(std::int32_t vocabulary);

  void add(std::span<const std::int32_t> run);
  void fit();
  double weight() const { return weight_; }
  double log_probability(std::span<const std::int32_t> context, std::int32_t token) const override;

 private:
  double derivative(double weight) const;

  std::int64_t tokens_ = 0;
  std::vector<std::uint32_t> unigrams_,
      followed_;  // by token: its occurrences, and those of them that another token follows
  NGramTable grams_;
  std::vector<std::uint32_t> counts_;
  double weight_ = 0;
};

}  // namespace alma
