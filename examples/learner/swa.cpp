// A learner of one's own: one file, one row. The program has all commands of alma (run, sweep, report, eval, ...) and one
// more word for the key learner.method, "swa".
//
// Stochastic weight averaging (Izmailov et al. 2018): a model trains as always, and another one, the average, is the mean of
// its weights at the ends of the epochs in the second half of each update. The average predicts, and the next update goes on
// from it. What a learner has to say is in alma/learn/learner.h; the stream, waiting, replay, evaluation, checkpoints and
// reports are the program's.
#include "alma/commands/commands.h"

#include <nlohmann/json.hpp>

#include "alma/learn/evaluate.h"
#include "alma/learn/kinds.h"
#include "alma/learn/named_tensors.h"
#include "base/json.h"
#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"

using namespace alma;

namespace {

class AveragedModel final : public Learner {
 public:
  explicit AveragedModel(const LearnerRequest& request)
      : config_(request.config),
        input_(request.input),
        context_(request.context),
        settings_(fit_settings(config_.train)),
        model_(make_model(config_, input_, context_, "initialisation", 0)),
        average_(model_->clone(context_)) {}

  FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                   const AfterStep& after_step) override {
    if (!resumed_) begin(update);
    fit_ = std::make_unique<Fit>(std::vector{Trainee{*model_, data, "update " + std::to_string(update + 1)}}, samples,
                                 settings_, static_cast<std::uint64_t>(config_.seed));
    const Leave leave{*this};
    if (resumed_) fit_->restore(0, without_prefix("fit.", resumed_->tensors, fit_->tensors(0)), resumed_->fit);
    resumed_.reset();
    while (!fit_->done()) {
      fit_->step();
      const FitProgress progress = fit_->progress();
      if (progress.epoch > epochs_) {
        epochs_ = progress.epoch;
        if (2 * epochs_ > progress.max_epochs) add_to_average();
      }
      after_step(progress);  // may save: all that has changed is in tensors() and state() by now
    }
    FitResult result = fit_->finish()[0];  // and model_ has its best weights
    if (averaged_ == 0) {                  // it has lost its patience early
      copy_tensors(named_state(*model_), named_state(*average_));
    } else {
      copy_tensors(named_state(*average_), named_state(*model_));
      if (result.best) result.best = quality(samples.measure(), evaluate(*average_, samples, validation_of(data)));
    }
    return result;
  }

  std::int64_t planned_samples(std::int64_t samples, std::int64_t /*before*/) const override {
    const Course course(samples, settings_);
    return course.samples_of(course.steps());
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

  std::int64_t parameters() override { return count_parameters(*average_); }

  Count macs_per_sample(const Samples& samples) override {
    const NoGrad off;
    const CostScope scope(context_);
    Pass pass;
    average_->forward(samples.example(context_), pass);
    return scope.cost().macs;
  }

  std::vector<NamedTensor> tensors() override {
    std::vector<NamedTensor> all = with_prefix("average.", named_state(*average_));
    const auto add = [&all](const std::string& prefix, const std::vector<NamedTensor>& tensors) {
      for (NamedTensor& tensor : with_prefix(prefix, tensors)) all.push_back(std::move(tensor));
    };
    add("model.", named_state(*model_));
    if (fit_) {
      fit_->check_losses();
      add("fit.", fit_->tensors(0));
    }
    return all;
  }

  nlohmann::json state() override {
    nlohmann::json state = {{"epochs", epochs_}, {"averaged", averaged_}};
    if (fit_) state["fit"] = fit_->state(0);
    return state;
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    for (const auto& [prefix, model] : {std::pair{"average.", average_.get()}, std::pair{"model.", model_.get()}}) {
      const std::vector<NamedTensor> like = named_state(*model);
      copy_tensors(without_prefix(prefix, tensors, like), like);
    }
    epochs_ = json_integer(state, "epochs", 0);
    averaged_ = json_integer(state, "averaged", 0);
    if (state.contains("fit")) resumed_ = Resumed{std::move(tensors), state.at("fit")};
  }

 private:
  struct Resumed {  // a loaded state inside an update
    std::vector<NamedTensor> tensors;
    nlohmann::json fit;
  };
  struct Leave {  // the fit is gone when update() is left, also by an exception
    AveragedModel& learner;
    ~Leave() { learner.fit_.reset(); }
  };

  void begin(std::int64_t update) {
    epochs_ = averaged_ = 0;
    if (config_.learner.from_scratch && update > 0)
      model_ = make_model(config_, input_, context_, "initialisation", static_cast<std::uint64_t>(update));
  }

  // average += (weights - average) / n.
  void add_to_average() {
    const NoGrad off;
    const double share = 1.0 / static_cast<double>(++averaged_);
    const std::vector<NamedTensor> weights = named_state(*model_), average = named_state(*average_);
    for (std::size_t i = 0; i < average.size(); ++i)
      average[i].second.copy_from((1 - share) * average[i].second + share * weights[i].second);
  }

  Tensor validation_of(const MegaBatch& data) const {
    return Tensor::from(context_, {static_cast<std::int64_t>(data.validation.size())}, data.validation);
  }

  Config config_;
  InputDescription input_;
  Context& context_;
  FitSettings settings_;
  std::unique_ptr<Module> model_, average_;
  std::int64_t epochs_ = 0, averaged_ = 0;  // of the update: those that are over, those in the average
  std::unique_ptr<Fit> fit_;                // the update under way
  std::optional<Resumed> resumed_;
};

LearnerKind averaged_model() {
  LearnerKind kind{{"swa", "one model, whose mean weights over the second half of each update predict"}};
  kind.label = [](const Config&) { return "SWA"; };
  kind.models = [](const Config&, std::int64_t) { return std::int64_t{1}; };
  kind.make = [](const LearnerRequest& request) { return std::make_unique<AveragedModel>(request); };
  return kind;
}

}  // namespace

int main(int argc, char** argv) {
  add_learner_kind(averaged_model());
  return alma_main(argc, argv);
}
