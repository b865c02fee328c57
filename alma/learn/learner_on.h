#pragma once
#include <memory>
#include <utility>

#include "alma/learn/learner.h"

namespace alma {

/// A learner that does as another one, which it owns; its subclasses do some things differently.
class LearnerOn : public Learner {
 public:
  FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                   const AfterStep& after_step) override {
    return base_->update(update, samples, data, after_step);
  }
  std::int64_t planned_samples(std::int64_t samples, std::int64_t before) const override {
    return base_->planned_samples(samples, before);
  }
  Evaluate evaluator(Context& context, std::shared_ptr<const Samples> samples, const Tensor& indices) override {
    return base_->evaluator(context, std::move(samples), indices);
  }
  Tensor predict(const Tensor& x) override { return base_->predict(x); }
  std::int64_t parameters() override { return base_->parameters(); }
  std::optional<std::int64_t> experts() override { return base_->experts(); }
  Count macs_per_sample(const Samples& samples) override { return base_->macs_per_sample(samples); }
  std::vector<NamedTensor> tensors() override { return base_->tensors(); }
  nlohmann::json state() override;
  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    base_->load(std::move(tensors), state);
  }

 protected:
  explicit LearnerOn(std::unique_ptr<Learner> base) : base_(std::move(base)) {}
  Learner& base() const { return *base_; }

 private:
  std::unique_ptr<Learner> base_;
};

}  // namespace alma
