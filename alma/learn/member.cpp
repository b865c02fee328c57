#include "alma/learn/member.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/json.h"
#include "base/random.h"

namespace alma {

Member::Member(const Trainee& trainee, const Course& course, Measure measure, double patience_delta)
    : name_(trainee.name),
      course_(course),
      measure_(measure),
      patience_delta_(patience_delta),
      train_(trainee.data.train),
      cumulative_(trainee.weights.size()),
      model_(named_state(trainee.model)) {
  std::partial_sum(trainee.weights.begin(), trainee.weights.end(), cumulative_.begin());
  for (const auto& [name, tensor] : model_) best_.emplace_back(name, tensor.clone());
}

FitProgress Member::progress() const {
  return {steps_ / course_.steps_per_epoch(), course_.epochs(), course_.samples_of(steps_)};
}

std::vector<std::int32_t> Member::order(std::uint64_t seed) const {
  std::vector<std::int32_t> order = train_;
  RandomStream random(seed, "shuffle, " + name_, static_cast<std::uint64_t>(progress().epoch));
  if (cumulative_.empty()) {
    random.shuffle(order);
    return order;
  }
  for (std::int32_t& sample : order) {
    const auto drawn = std::ranges::upper_bound(cumulative_, random.uniform(0, cumulative_.back()));
    sample = train_[std::min(train_.size() - 1, static_cast<std::size_t>(drawn - cumulative_.begin()))];
  }
  return order;
}

void Member::has_trained(const Cost& cost) {
  cost_ += cost;
  ++steps_;
}

void Member::has_been_validated(const Score& validation) {
  const bool known = validation.predictions != 0;
  const double found = known ? quality(measure_, validation) : 0;
  const bool better = !known || !best_quality_ || is_better(measure_, found, *best_quality_, patience_delta_);
  stale_ = better ? 0 : stale_ + 1;
  if (!better) return;
  if (known) best_quality_ = found;
  copy_tensors(model_, best_);
}

FitResult Member::finish() {
  copy_tensors(best_, model_);
  return {progress().epoch, best_quality_, cost_};
}

nlohmann::json Member::state() const {
  nlohmann::json state = {{"epoch", steps_ / course_.steps_per_epoch()},
                          {"step", steps_ % course_.steps_per_epoch()},
                          {"optimizer_steps", steps_},
                          {"stale_epochs", stale_},
                          {"macs", to_text(cost_.macs)},
                          {"flops", to_text(cost_.flops)},
                          {"bytes", to_text(cost_.bytes)}};
  if (measure_ == Measure::error) {
    state["best_accuracy"] = best_quality_.value_or(-1);
  } else {
    state["best_perplexity"] = best_quality_ ? nlohmann::json(*best_quality_) : nlohmann::json();
  }
  return state;
}

void Member::restore(const std::vector<NamedTensor>& best, const nlohmann::json& state) {
  steps_ = json_integer(state, "epoch", 0, course_.epochs()) * course_.steps_per_epoch() +
           json_integer(state, "step", 0, course_.steps_per_epoch());
  stale_ = json_integer(state, "stale_epochs", 0);
  cost_ = {count_from_text(json_text(state, "macs")), count_from_text(json_text(state, "flops")),
           count_from_text(json_text(state, "bytes"))};
  const char* key = measure_ == Measure::error ? "best_accuracy" : "best_perplexity";
  best_quality_.reset();
  if (!json_member(state, key).is_null())
    if (const double quality = json_number(state, key); quality >= 0) best_quality_ = quality;
  copy_tensors(best, best_);
}

}  // namespace alma
