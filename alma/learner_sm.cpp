#include <optional>

#include "alma/learner.h"
#include "alma/named_tensors.h"
#include "engine/autograd.h"
#include "engine/ops_loss.h"

namespace alma {

namespace {

class SingleModel final : public Learner {
 public:
  SingleModel(Context& context, const DeviceImages& images, const LearnerSettings& settings, MakeModel make_model)
      : context_(context),
        images_(images),
        settings_(settings),
        make_model_(std::move(make_model)),
        model_(fresh_model(0)) {}

  FitResult update(std::int64_t update, const MegaBatch& data, const AfterStep& after_step) override {
    if (settings_.from_scratch && update > 0 && !pending_) model_ = fresh_model(update);
    Fit fit(*model_, images_, data, settings_.fit, settings_.seed, "update " + std::to_string(update + 1));
    if (pending_) fit.restore(pending_->tensors, pending_->state);
    pending_.reset();
    fit_ = &fit;
    const Leave leave{fit_};
    return fit.run(after_step);
  }

  Evaluation evaluate(const DeviceImages& images, const Tensor& indices) override {
    return alma::evaluate(*model_, images, indices);
  }

  Evaluate evaluator(Context& context) override {
    return [copy = std::shared_ptr<Module>(model_->clone(context))](const DeviceImages& images, const Tensor& indices) {
      return alma::evaluate(*copy, images, indices);
    };
  }

  Tensor predict(const Tensor& x) override {
    NoGrad off;
    return softmax(model_->forward(x));
  }

  std::int64_t parameters() override { return count_parameters(*model_); }

  Count macs_per_sample(const Tensor& x) override {
    NoGrad off;
    CostScope scope(context_);
    model_->forward(x);
    return scope.cost().macs;
  }

  std::vector<NamedTensor> tensors() override {
    std::vector<NamedTensor> all = with_prefix("model.", named_parameters(*model_));
    if (fit_ == nullptr) return all;
    fit_->check_losses();
    for (NamedTensor& tensor : fit_->tensors()) all.push_back(std::move(tensor));
    return all;
  }

  nlohmann::json state() override {
    return fit_ == nullptr ? nlohmann::json::object() : nlohmann::json{{"fit", fit_->state()}};
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    const std::vector<NamedTensor> parameters = named_parameters(*model_);
    copy_parameters(without_prefix("model.", tensors, parameters), parameters);
    if (state.contains("fit")) pending_ = Pending{std::move(tensors), state.at("fit")};
  }

 private:
  struct Pending {
    std::vector<NamedTensor> tensors;
    nlohmann::json state;
  };
  // The fit is gone when update() is left, also by an exception.
  struct Leave {
    Fit*& fit;
    ~Leave() { fit = nullptr; }
  };

  std::unique_ptr<Module> fresh_model(std::int64_t update) {
    return make_model_(RandomStream(settings_.seed, "initialisation", static_cast<std::uint64_t>(update)));
  }

  Context& context_;
  const DeviceImages& images_;
  LearnerSettings settings_;
  MakeModel make_model_;
  std::unique_ptr<Module> model_;
  Fit* fit_ = nullptr;              // the update under way
  std::optional<Pending> pending_;  // a loaded state inside an update
};

}  // namespace

std::unique_ptr<Learner> make_single_model(Context& context, const DeviceImages& images, const LearnerSettings& settings,
                                           MakeModel make_model) {
  return std::make_unique<SingleModel>(context, images, settings, std::move(make_model));
}

}  // namespace alma
