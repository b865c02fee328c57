#include "text/ngram.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace alma {
namespace {

constexpr int kHighestOrder = 5;
constexpr std::array<double, 4> kUsualDiscounts = {0, 0.5, 1, 1.5};

std::uint64_t mixed(std::uint64_t key) {
  key = (key ^ (key >> 32)) * 0xd6e8feb86659fd93u;
  return key ^ (key >> 32);
}

void count(std::vector<std::uint32_t>& counts, std::uint32_t gram) {
  if (gram >= counts.size()) counts.resize(gram + std::size_t{1});
  ++counts[gram];
}

/// Chen and Goodman's equation 17, from the numbers of n-grams that occur 1, 2, 3 and 4 times.
std::array<double, 4> discounts_of(const std::vector<std::uint32_t>& counts) {
  std::array<double, 5> n{};
  for (const std::uint32_t c : counts)
    if (c >= 1 && c <= 4) ++n[c];
  const double y = n[1] / (n[1] + 2 * n[2]);
  std::array<double, 4> discounts{};
  for (std::size_t c = 1; c <= 3; ++c) {
    const double estimate = static_cast<double>(c) - static_cast<double>(c + 1) * y * n[c + 1] / n[c];
    if (!(n[c] > 0 && estimate >= 0 && estimate <= static_cast<double>(c))) return kUsualDiscounts;
    discounts[c] = estimate;
  }
  return discounts;
}

}  // namespace

double TokenLoss::perplexity() const { return std::exp(nats_per_token()); }
double TokenLoss::bits_per_byte(std::int64_t bytes) const { return nats / std::numbers::ln2 / static_cast<double>(bytes); }

TokenLoss judge(const NGramModel& model, std::span<const std::int32_t> tokens, std::size_t first) {
  TokenLoss loss;
  for (std::size_t i = first; i < tokens.size(); ++i, ++loss.tokens)
    loss.nats -= model.log_probability(tokens.first(i), tokens[i]);
  return loss;
}

// ---- the table ---------------------------------------------------------------------------------------------------------

NGramTable::NGramTable() : slots_(1024, kNone) {}

/// The slot that holds the key, or the empty one where it belongs.
std::size_t NGramTable::slot_of(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = mixed(key) & mask;
  while (slots_[slot] != kNone && keys_[slots_[slot]] != key) slot = (slot + 1) & mask;
  return slot;
}

std::uint32_t NGramTable::find(std::uint32_t history, std::int32_t token) const {
  return slots_[slot_of(std::uint64_t{history} << 32 | static_cast<std::uint32_t>(token))];
}

std::uint32_t NGramTable::insert(std::uint32_t history, std::int32_t token) {
  const std::uint64_t key = std::uint64_t{history} << 32 | static_cast<std::uint32_t>(token);
  std::size_t slot = slot_of(key);
  if (slots_[slot] != kNone) return slots_[slot];
  if (keys_.size() >= kNone) fail("[ngram] more than 2^32 - 2 n-grams of one order");
  if (3 * (keys_.size() + 1) > 2 * slots_.size()) {
    grow();
    slot = slot_of(key);
  }
  slots_[slot] = size();
  keys_.push_back(key);
  return slots_[slot];
}

void NGramTable::grow() {
  slots_.assign(2 * slots_.size(), kNone);
  for (std::uint32_t i = 0; i < size(); ++i) slots_[slot_of(keys_[i])] = i;
}

// ---- Kneser-Ney --------------------------------------------------------------------------------------------------------

KneserNey::KneserNey(int order, std::int32_t vocabulary) : vocabulary_(vocabulary) {
  if (order < 1 || order > kHighestOrder)
    fail(ErrorKind::usage, "the order of an n-gram model is ", order, ", expected 1 .. ", kHighestOrder);
  orders_.resize(static_cast<std::size_t>(order));
}

void KneserNey::add(std::span<const std::int32_t> run) {
  constexpr std::uint32_t none = NGramTable::kNone;
  std::array<std::uint32_t, kHighestOrder + 1> before{},
      here{};  // [k]: the k-gram that ends at the last token, and at this one
  before.fill(none);
  before[0] = here[0] = 0;
  for (const std::int32_t token : run) {
    for (std::size_t k = 1; k <= orders_.size(); ++k) {
      here[k] = none;
      if (before[k - 1] == none) break;  // it would reach beyond the run
      NGramTable& grams = orders_[k - 1].grams;
      const std::uint32_t known = grams.size();
      here[k] = grams.insert(before[k - 1], token);
      if (k == orders_.size()) count(orders_[k - 1].counts, here[k]);
      // A new n-gram is another token before the n-gram without its first token.
      if (k > 1 && here[k] == known) count(orders_[k - 2].counts, here[k - 1]);
    }
    before = here;
  }
}

void KneserNey::fit() {
  std::uint32_t histories = 1;
  for (Order& order : orders_) {
    order.counts.resize(order.grams.size());  // those that only begin runs have no token before them
    estimate(order, histories);
    histories = order.grams.size();
  }
}

void KneserNey::estimate(Order& order, std::uint32_t histories) {
  order.discounts = discounts_of(order.counts);
  auto& [total, discounted] = order.histories;
  total.assign(histories, 0);
  discounted.assign(histories, 0);
  for (std::uint32_t i = 0; i < order.grams.size(); ++i) {
    const std::uint32_t history = order.grams.history(i), c = order.counts[i];
    total[history] += c;
    discounted[history] += static_cast<float>(order.discounts[std::min(c, 3u)]);
  }
  for (std::size_t i = 0; i < total.size(); ++i)
    if (total[i] > 0) discounted[i] /= static_cast<float>(total[i]);
}

double KneserNey::log_probability(std::span<const std::int32_t> context, std::int32_t token) const {
  double p = 1 / static_cast<double>(vocabulary_);
  for (std::size_t length = 0; length < orders_.size() && length <= context.size(); ++length) {
    std::uint32_t history = 0;
    for (std::size_t i = 0; i < length && history != NGramTable::kNone; ++i)
      history = orders_[i].grams.find(history, context[context.size() - length + i]);
    if (history == NGramTable::kNone) break;  // the longer ones have not occurred either
    const Order& order = orders_[length];
    const std::uint32_t total = order.histories.total[history];
    if (total == 0) continue;
    const std::uint32_t gram = order.grams.find(history, token), c = gram == NGramTable::kNone ? 0 : order.counts[gram];
    p = (c - order.discounts[std::min(c, 3u)]) / total + order.histories.discounted[history] * p;
  }
  return std::log(p);
}

// ---- the interpolated bigram -------------------------------------------------------------------------------------------

InterpolatedBigram::InterpolatedBigram(std::int32_t vocabulary)
    : unigrams_(static_cast<std::size_t>(vocabulary)), followed_(static_cast<std::size_t>(vocabulary)) {}

void InterpolatedBigram::add(std::span<const std::int32_t> run) {
  for (std::size_t i = 0; i < run.size(); ++i) {
    ++unigrams_[static_cast<std::size_t>(run[i])];
    if (i == 0) continue;
    ++followed_[static_cast<std::size_t>(run[i - 1])];
    count(counts_, grams_.insert(static_cast<std::uint32_t>(run[i - 1]), run[i]));
  }
  tokens_ += std::ssize(run);
}

/// Of the bigrams' log-likelihood, each left out of the counts, by the weight. It decreases.
double InterpolatedBigram::derivative(double weight) const {
  double sum = 0;
  const double others = static_cast<double>(tokens_ - 1) + static_cast<double>(unigrams_.size());
  for (std::uint32_t i = 0; i < grams_.size(); ++i) {
    const double c = counts_[i], of_history = followed_[grams_.history(i)] - 1.0;
    const double bigram = of_history > 0 ? (c - 1) / of_history : 0;
    const double unigram = unigrams_[static_cast<std::size_t>(grams_.token(i))] / others;
    sum += c * (bigram - unigram) / (weight * bigram + (1 - weight) * unigram);
  }
  return sum;
}

void InterpolatedBigram::fit() {
  double low = 0, high = 1;
  for (int step = 0; step < 40; ++step) {
    const double middle = (low + high) / 2;
    (derivative(middle) > 0 ? low : high) = middle;
  }
  weight_ = low;  // below 1, so that no probability is 0
}

double InterpolatedBigram::log_probability(std::span<const std::int32_t> context, std::int32_t token) const {
  const double unigram =
      (unigrams_[static_cast<std::size_t>(token)] + 1.0) / static_cast<double>(tokens_ + std::ssize(unigrams_));
  if (context.empty()) return std::log(unigram);
  const auto before = static_cast<std::size_t>(context.back());
  if (followed_[before] == 0) return std::log(unigram);
  const std::uint32_t gram = grams_.find(static_cast<std::uint32_t>(before), token);
  const double bigram = gram == NGramTable::kNone ? 0 : static_cast<double>(counts_[gram]) / followed_[before];
  return std::log(weight_ * bigram + (1 - weight_) * unigram);
}

}  // namespace alma
