#include <nlohmann/json.hpp>

#include "alma/learn/evaluate.h"
#include "alma/learn/later_learners.h"
#include "alma/learn/learner_on.h"
#include "alma/learn/named_tensors.h"
#include "base/json.h"
#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"

namespace alma {

namespace {

constexpr const char* kModel = "member.0.model.";  // of the learner of one model
constexpr const char* kAverage = "average.";

class Averaged final : public LearnerOn {
 public:
  Averaged(std::unique_ptr<Learner> trained, std::unique_ptr<Module> model, const AverageSettings& settings)
      : LearnerOn(std::move(trained)), settings_(settings), average_(std::move(model)) {
    copy_tensors(weights(base().tensors()), named_state(*average_));
  }

  FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                   const AfterStep& after_step) override {
    const FitResult result = base().update(update, samples, data, after_step);
    add(weights(base().tensors()));
    return result;
  }

  Evaluate evaluator(Context& context, std::shared_ptr<const Samples> samples, const Tensor& indices) override {
    // A copy: it is tested on another thread while the next update goes on.
    return evaluation_of(average_->clone(context), std::move(samples), indices);
  }

  Tensor predict(const Tensor& x) override {
    const NoGrad off;
    Pass pass;
    return softmax(average_->forward(x, pass));
  }

  std::vector<NamedTensor> tensors() override {
    std::vector<NamedTensor> all = base().tensors();
    for (NamedTensor& tensor : with_prefix(kAverage, named_state(*average_))) all.push_back(std::move(tensor));
    return all;
  }

  nlohmann::json state() override {
    nlohmann::json state = base().state();
    state["averaged"] = averaged_;
    return state;
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    averaged_ = json_integer(state, "averaged", 0);
    const std::vector<NamedTensor> like = named_state(*average_);
    copy_tensors(without_prefix(kAverage, tensors, like), like);
    base().load(std::move(tensors), state);
  }

 private:
  std::vector<NamedTensor> weights(const std::vector<NamedTensor>& tensors) const {
    return without_prefix(kModel, tensors, named_state(*average_));
  }

  void add(const std::vector<NamedTensor>& weights) {
    const NoGrad off;
    ++averaged_;
    const double share = averaged_ == 1 ? 1 : settings_.moving ? 1 - settings_.decay : 1 / static_cast<double>(averaged_);
    const std::vector<NamedTensor> average = named_state(*average_);
    for (std::size_t i = 0; i < average.size(); ++i)
      average[i].second.copy_from(share == 1 ? weights[i].second
                                             : (1 - share) * average[i].second + share * weights[i].second);
  }

  AverageSettings settings_;
  std::unique_ptr<Module> average_;
  std::int64_t averaged_ = 0;  // updates
};

}  // namespace

std::unique_ptr<Learner> make_averaged(std::unique_ptr<Learner> trained, std::unique_ptr<Module> model,
                                       const AverageSettings& settings) {
  return std::make_unique<Averaged>(std::move(trained), std::move(model), settings);
}

}  // namespace alma
