#include "alma/learn/ensemble.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "alma/learn/boosting.h"
#include "alma/learn/evaluate.h"
#include "alma/learn/named_tensors.h"
#include "alma/learn/saved_models.h"
#include "alma/learn/side_by_side.h"
#include "base/json.h"
#include "engine/autograd.h"
#include "engine/ops_loss.h"
#include "models/mixture.h"

namespace alma {

namespace {

class Ensemble final : public Learner {
 public:
  Ensemble(Context& context, const EnsembleSettings& settings, MakeModel make_model)
      : context_(context), settings_(settings), make_model_(std::move(make_model)) {
    if (settings_.members > 1)
      for (std::int64_t i = 0; i < settings_.members; ++i) {
        auto beside = context.beside("member " + std::to_string(i + 1));
        if (!beside) break;
        contexts_.push_back(std::move(beside));
      }
    add_members(0);
  }

  FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                   const AfterStep& after_step) override {
    if (!pending_ && update > 0) grow(update, samples, data, after_step);
    const Leave leave{*this};
    begin_fits(update, samples, data);
    while (step()) after_step(progress());
    const FitResult result = finish();
    if (settings_.boosting) weigh_newest(samples, data);
    return result;
  }

  std::int64_t planned_samples(std::int64_t samples, std::int64_t before) const override {
    const Course course(samples, fit_settings(samples > before ? samples - before : samples));
    return course.samples_of(course.steps());
  }

  Evaluate evaluator(Context& context, std::shared_ptr<const Samples> samples, const Tensor& indices) override {
    if (!frozen_ || !frozen_->are_of(*samples, indices)) frozen_ = std::make_shared<FrozenSums>(std::move(samples), indices);
    const std::size_t known = frozen_->models;
    const std::size_t newly_frozen = static_cast<std::size_t>(first_trained()) - known;
    auto models = std::make_shared<std::vector<std::unique_ptr<Module>>>();
    for (std::size_t i = known; i < models_.size(); ++i) models->push_back(models_[i]->clone(context));
    const std::vector<double> shares(weights_.begin() + static_cast<std::ptrdiff_t>(known), weights_.end());
    return [=, sums = frozen_, combine = settings_.combine](const std::function<void()>& after_batch) {
      std::size_t batch = 0;
      const Score score = evaluate(
          [&](const Tensor& x) {
            if (batch == sums->batches.size()) sums->batches.emplace_back(combine);
            CommitteeSum& frozen = sums->batches[batch++];
            for (std::size_t i = 0; i < newly_frozen; ++i) frozen.add(*(*models)[i], x, shares[i]);
            CommitteeSum all = frozen;
            for (std::size_t i = newly_frozen; i < models->size(); ++i) all.add(*(*models)[i], x, shares[i]);
            if (after_batch) after_batch();
            return all.logits();
          },
          *sums->samples, sums->indices);
      sums->models = known + newly_frozen;
      return score;
    };
  }

  Tensor predict(const Tensor& x) override {
    const NoGrad off;
    return softmax(dense(committee_logits(models_, weights_, settings_.combine, x)));
  }

  std::int64_t parameters() override {
    std::int64_t count = 0;
    for (const auto& model : models_) count += count_parameters(*model);
    return count;
  }

  std::optional<std::int64_t> experts() override {
    if (!settings_.grows_experts) return std::nullopt;
    const std::vector<Mixture*> mixtures = mixtures_of(*models_[0]);
    if (mixtures.empty()) return std::nullopt;
    return mixtures[0]->experts();
  }

  Count macs_per_sample(const Samples& samples) override {
    const NoGrad off;
    for (std::size_t i = macs_.size(); i < models_.size(); ++i) {
      Context& context = context_of(static_cast<std::int64_t>(i));
      const CostScope scope(context);
      Pass pass;
      dense(models_[i]->forward(samples.example(context), pass));
      macs_.push_back(scope.cost().macs);
    }
    Count all = 0;
    for (const Count macs : macs_) all += macs;
    return all;
  }

  std::vector<NamedTensor> tensors() override {
    for (const auto& fit : fits_) fit->check_losses();
    std::vector<NamedTensor> all;
    const auto add = [&all](const std::string& prefix, std::vector<NamedTensor> tensors) {
      for (NamedTensor& tensor : with_prefix(prefix, std::move(tensors))) all.push_back(std::move(tensor));
    };
    for (std::size_t i = 0; i < models_.size(); ++i) {
      const auto member = static_cast<std::int64_t>(i);
      add(prefix(member) + "model.", named_state(*models_[i]));
      if (fits_.empty() || member < first_trained()) continue;
      const auto [fit, place] = fit_of(member - first_trained());
      add(prefix(member), fit->tensors(place));
    }
    if (fits_.empty()) all.insert(all.end(), optimizers_.begin(), optimizers_.end());
    return all;
  }

  nlohmann::json state() override {
    nlohmann::json state = {{"members", models_.size()}, {"models", structures_in_groups(models_)}};
    if (settings_.boosting) state["weights"] = weights_;
    for (std::int64_t i = 0; i < settings_.members && !fits_.empty(); ++i) {
      const auto [fit, place] = fit_of(i);
      state["fits"].push_back(fit->state(place));
    }
    if (settings_.optimizer_goes_on) state["optimizer_steps"] = optimizer_steps_;
    return state;
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    frozen_.reset();
    macs_.clear();
    if (state.contains("fits") && (!state.at("fits").is_array() || std::ssize(state.at("fits")) != settings_.members))
      fail(ErrorKind::data, "damaged checkpoint: \"fits\" must be an array of ", settings_.members,
           ", one for each model that trains");
    if (state.contains("models")) {
      auto models = models_of_groups(state, tensors, settings_.members,
                                     [&](std::int64_t member) -> Context& { return context_of(member); });
      fill(models, tensors);
      models_ = std::move(models);
    } else {  // saved by a version without structures: the models are those of the configuration
      // Each member has at least one tensor, which bounds the number of members that a state can ask for.
      const std::int64_t members = json_integer(state, "members", 0, std::ssize(tensors));
      while (std::ssize(models_) < members) add_members(0);
      fill(models_, tensors);
    }
    weights_.assign(models_.size(), 1);
    if (settings_.boosting) load_weights(state);
    optimizers_.clear();
    optimizer_steps_ = settings_.optimizer_goes_on ? json_integer(state, "optimizer_steps", 0) : 0;
    if (state.contains("fits")) {
      pending_ = Pending{std::move(tensors), state.at("fits")};
    } else if (optimizer_steps_ > 0) {
      std::ranges::copy_if(tensors, std::back_inserter(optimizers_),
                           [](const NamedTensor& tensor) { return tensor.first.starts_with(kKept); });
    }
  }

 private:
  // A loaded state of an unfinished update.
  struct Pending {
    std::vector<NamedTensor> tensors;
    nlohmann::json fits;
  };
  // The predictions of the members that no longer train, for the samples of the tests.
  struct FrozenSums {
    FrozenSums(std::shared_ptr<const Samples> of_samples, Tensor of_indices)
        : samples(std::move(of_samples)), indices(std::move(of_indices)) {}
    bool are_of(const Samples& other, const Tensor& other_indices) const {
      return samples.get() == &other && indices.in().data == other_indices.in().data;
    }
    std::shared_ptr<const Samples> samples;
    Tensor indices;
    std::size_t models = 0;             // the number of members summed, from the first on
    std::vector<CommitteeSum> batches;  // one for each batch of an evaluation
  };
  // Destroys the fits when update() is left, also by an exception.
  struct Leave {
    Ensemble& ensemble;
    ~Leave() { ensemble.fits_.clear(); }
  };

  static std::string prefix(std::int64_t member) { return "member." + std::to_string(member) + "."; }
  // The first member's names are those of a single model.
  static std::string name_of(std::int64_t member, const std::string& what) {
    return member == 0 ? what : what + ", member " + std::to_string(member + 1);
  }
  Context& context_of(std::int64_t member) const {
    if (contexts_.empty()) return context_;
    return *contexts_[static_cast<std::size_t>(member % settings_.members)];
  }
  std::int64_t first_trained() const { return static_cast<std::int64_t>(models_.size()) - settings_.members; }

  std::unique_ptr<Module> fresh_model(std::int64_t member, std::int64_t update) {
    return make_model_(context_of(member), name_of(member, "initialisation"), static_cast<std::uint64_t>(update));
  }

  void add_members(std::int64_t update) {
    for (std::int64_t i = 0; i < settings_.members; ++i)
      models_.push_back(fresh_model(static_cast<std::int64_t>(models_.size()), update));
    weights_.resize(models_.size(), 1);
  }

  static void fill(const std::vector<std::unique_ptr<Module>>& models, const std::vector<NamedTensor>& tensors) {
    for (std::size_t i = 0; i < models.size(); ++i) {
      const std::vector<NamedTensor> model = named_state(*models[i]);
      copy_tensors(without_prefix(prefix(static_cast<std::int64_t>(i)) + "model.", tensors, model), model);
    }
  }

  // Changes the members before an update other than the first.
  void grow(std::int64_t update, const Samples& samples, const MegaBatch& data, const AfterStep& after_step) {
    const bool grows = update % settings_.grow_every == 0;
    if (settings_.growing) {
      if (!grows) return;
      const std::int64_t before = first_trained();
      add_members(update);
      for (std::int64_t i = 0; i < settings_.members && !settings_.from_scratch; ++i)
        copy_tensors(named_state(*models_[static_cast<std::size_t>(before + i)]),
                     named_state(*models_[static_cast<std::size_t>(first_trained() + i)]));
    } else if (settings_.from_scratch) {
      macs_.clear();
      for (std::size_t i = 0; i < models_.size(); ++i) models_[i] = fresh_model(static_cast<std::int64_t>(i), update);
    }
    if (!settings_.prepare || !grows) return;
    const FitProgress none{0, settings_.fit.max_epochs, 0};
    settings_.prepare(*models_[0], update, samples, data, [&] { after_step(none); });
    macs_.clear();
    context_of(0).allocator().trim();  // blocks of sizes that do not come again
  }

  /// The settings of a fit on data of which so many samples are new.
  FitSettings fit_settings(std::int64_t arrived) const {
    FitSettings fit = settings_.fit;
    if (!settings_.steps_of_arrived) return fit;
    const Course course(arrived, fit);
    fit.max_steps = course.steps();
    fit.validate_every = course.steps_per_epoch();
    return fit;
  }

  /// Makes the fits of the members that train: one each, or one for their stack where that is possible.
  void begin_fits(std::int64_t update, const Samples& samples, const MegaBatch& data) {
    std::vector<Trainee> trainees;
    for (std::int64_t member = first_trained(); member < first_trained() + settings_.members; ++member)
      trainees.push_back({*models_[static_cast<std::size_t>(member)], data_of(member, update, data),
                          name_of(member, "update " + std::to_string(update + 1))});
    if (settings_.boosting && first_trained() > 0)
      trainees[0].weights = boost(trained_before(), samples, data.train).samples;
    FitSettings fit = fit_settings(data.arrived > 0 ? data.arrived : static_cast<std::int64_t>(data.train.size()));
    fit.steps_before = optimizer_steps_;
    if (settings_.members > 1 && !context_.backend().info().shareable) {
      fits_.push_back(std::make_unique<Fit>(trainees, samples, fit, settings_.seed));
      restore_fits();
      if (!fits_[0]->in_step()) fits_.clear();
    }
    if (fits_.empty()) {
      for (const Trainee& trainee : trainees)
        fits_.push_back(std::make_unique<Fit>(std::vector{trainee}, samples, fit, settings_.seed));
      restore_fits();
    }
    if (!pending_ && optimizer_steps_ > 0) hand_on_optimizers();
    pending_.reset();
  }

  // The models before the newest, whose mistakes decide what it is trained on.
  std::vector<Module*> trained_before() const {
    std::vector<Module*> models;
    for (std::int64_t i = 0; i < first_trained(); ++i) models.push_back(models_[static_cast<std::size_t>(i)].get());
    return models;
  }

  void weigh_newest(const Samples& samples, const MegaBatch& data) {
    std::vector<Module*> models = trained_before();
    models.push_back(models_.back().get());
    weights_.back() = boost(models, samples, data.validation.empty() ? data.train : data.validation).models.back();
  }

  void load_weights(const nlohmann::json& state) {
    const nlohmann::json& saved = json_member(state, "weights");
    if (!saved.is_array() || saved.size() != models_.size())
      fail(ErrorKind::data, "damaged checkpoint: \"weights\" must be an array of ", models_.size(), ", one for each model");
    for (std::size_t i = 0; i < saved.size(); ++i) weights_[i] = to_number(saved[i], "weights");
  }

  /// The fit of a model that trains, and the model's number in it.
  std::pair<Fit*, std::size_t> fit_of(std::int64_t trained) const {
    const auto i = static_cast<std::size_t>(trained);
    return fits_.size() == 1 ? std::pair{fits_[0].get(), i} : std::pair{fits_[i].get(), std::size_t{0}};
  }

  static constexpr const char* kKept = "kept.";  // begins the names of optimizers that go on
  static std::string optimizer_prefix(std::int64_t i) { return kKept + std::to_string(i) + "."; }

  /// Keeps the optimizers' states for the next update, which begins with hand_on_optimizers().
  void keep_optimizers() {
    optimizers_.clear();
    for (std::int64_t i = 0; i < settings_.members; ++i) {
      const auto [fit, place] = fit_of(i);
      for (const auto& [name, tensor] : fit->optimizer_state(place))
        optimizers_.emplace_back(optimizer_prefix(i) + name, tensor.clone());
      optimizer_steps_ = std::max(optimizer_steps_, fit->optimizer_steps());
    }
  }
  void hand_on_optimizers() {
    for (std::int64_t i = 0; i < settings_.members; ++i) {
      const auto [fit, place] = fit_of(i);
      fit->go_on_with(place, without_prefix(optimizer_prefix(i), optimizers_, fit->optimizer_state(place)));
    }
    optimizers_.clear();
  }

  void restore_fits() {
    if (!pending_) return;
    for (std::int64_t i = 0; i < settings_.members; ++i) {
      const auto [fit, place] = fit_of(i);
      const std::vector<NamedTensor> like = fit->tensors(place);
      fit->restore(place, without_prefix(prefix(first_trained() + i), pending_->tensors, like),
                   pending_->fits.at(static_cast<std::size_t>(i)));
    }
  }

  MegaBatch data_of(std::int64_t member, std::int64_t update, const MegaBatch& data) const {
    if (!settings_.bagging) return data;
    RandomStream draws(settings_.seed, name_of(member, "bagging"), static_cast<std::uint64_t>(update));
    MegaBatch drawn = data;
    for (std::int32_t& sample : drawn.train) sample = data.train[draws.below(static_cast<std::uint32_t>(data.train.size()))];
    return drawn;
  }

  /// Does a step of an unfinished fit, or many steps of all fits if they run in parallel; returns false if all were done.
  bool step() {
    std::vector<Fit*> open;
    for (const auto& fit : fits_)
      if (!fit->done()) open.push_back(fit.get());
    if (open.empty()) return false;
    if (contexts_.empty() || open.size() == 1) {
      open[0]->step();
    } else {
      train_side_by_side(context_.pool(), open);
    }
    return true;
  }

  FitProgress progress() const {
    FitProgress all = fits_[0]->progress();
    all.samples = 0;
    for (const auto& fit : fits_) {
      const FitProgress one = fit->progress();
      all.epoch = std::min(all.epoch, one.epoch);
      all.samples += one.samples;
    }
    all.samples /= static_cast<std::int64_t>(fits_.size());
    return all;
  }

  FitResult finish() {
    if (settings_.optimizer_goes_on) keep_optimizers();
    FitResult all;
    for (const auto& fit : fits_)
      for (const FitResult& one : fit->finish()) {
        all.epochs = std::max(all.epochs, one.epochs);
        all.cost += one.cost;
        if (one.best) all.best = all.best.value_or(0) + *one.best;
      }
    if (all.best) *all.best /= static_cast<double>(settings_.members);
    return all;
  }

  Context& context_;
  EnsembleSettings settings_;
  MakeModel make_model_;
  std::vector<std::unique_ptr<Context>> contexts_;  // of the members if they train in parallel; else they share context_
  std::vector<std::unique_ptr<Module>> models_;     // the last settings_.members train
  std::vector<double> weights_;                     // of the models in the prediction
  std::vector<std::unique_ptr<Fit>> fits_;          // of the current update: one for each model that trains, or one for all
  std::optional<Pending> pending_;
  std::vector<NamedTensor> optimizers_;  // between updates, of optimizers that go on
  std::int64_t optimizer_steps_ = 0;     // of these, before the current update
  std::shared_ptr<FrozenSums> frozen_;
  std::vector<Count> macs_;  // of the first models, for one sample
};

}  // namespace

std::unique_ptr<Learner> make_ensemble(Context& context, const EnsembleSettings& settings, MakeModel make_model) {
  return std::make_unique<Ensemble>(context, settings, std::move(make_model));
}

}  // namespace alma
