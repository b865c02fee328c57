#include <chrono>
#include <deque>
#include <mutex>
#include <optional>

#include "alma/learn/ensemble.h"
#include "alma/learn/named_tensors.h"
#include "alma/learn/stacked_fit.h"
#include "base/json.h"
#include "engine/autograd.h"
#include "engine/ops_loss.h"

namespace alma {

namespace {

using Clock = std::chrono::steady_clock;
// Members that train side by side stop together this often, so that the run can be saved; a thread stays with one of them
// for a slice, whose working set is then in its caches.
constexpr std::chrono::milliseconds kRound{100}, kSlice{5};

/// Steps of fits that are not done, on all threads of the pool.
void train_side_by_side(ThreadPool& pool, const std::vector<Fit*>& fits) {
  std::deque<Fit*> waiting(fits.begin(), fits.end());
  std::mutex mutex;
  const auto next = [&]() -> Fit* {
    const std::lock_guard lock(mutex);
    if (waiting.empty()) return nullptr;
    Fit* fit = waiting.front();
    waiting.pop_front();
    return fit;
  };
  const Clock::time_point end = Clock::now() + kRound;
  pool.run(std::min<std::int64_t>(pool.threads(), static_cast<std::int64_t>(fits.size())), [&](std::int64_t) {
    while (Clock::now() < end) {
      Fit* fit = next();
      if (fit == nullptr) return;
      const Clock::time_point slice_end = std::min(end, Clock::now() + kSlice);
      do fit->step();
      while (!fit->done() && Clock::now() < slice_end);
      if (fit->done()) continue;
      const std::lock_guard lock(mutex);
      waiting.push_back(fit);
    }
  });
}

class Ensemble final : public Learner {
 public:
  Ensemble(Context& context, const DeviceImages& images, const EnsembleSettings& settings, MakeModel make_model)
      : context_(context), images_(images), settings_(settings), make_model_(std::move(make_model)) {
    if (settings_.members > 1)
      for (std::int64_t i = 0; i < settings_.members; ++i) {
        auto beside = context.beside("member " + std::to_string(i + 1));
        if (!beside) break;
        contexts_.push_back(std::move(beside));
      }
    add_members(0);
  }

  FitResult update(std::int64_t update, const MegaBatch& data, const AfterStep& after_step) override {
    if (!pending_ && update > 0) grow(update);
    const Leave leave{*this};
    if (settings_.members > 1 && !context_.backend().info().shareable) stack_ = stack(trained_models());
    for (std::int64_t i = 0; i < settings_.members; ++i) {
      const std::int64_t member = first_trained() + i;
      fits_.push_back(std::make_unique<Fit>(*models_[static_cast<std::size_t>(member)], images_,
                                            data_of(member, update, data), settings_.fit, settings_.seed,
                                            name_of(member, "update " + std::to_string(update + 1))));
      if (pending_) {
        const std::vector<NamedTensor> like = fits_.back()->tensors();
        fits_.back()->restore(without_prefix(prefix(member), pending_->tensors, like), pending_->fits.at(fits_.size() - 1));
      }
    }
    pending_.reset();
    if (stack_ && StackedFit::possible(fits_)) stacked_ = std::make_unique<StackedFit>(*stack_, fits_);
    while (step()) after_step(progress());
    return finish();
  }

  Evaluate evaluator(Context& context, const DeviceImages& images, const Tensor& indices) override {
    if (!frozen_ || !frozen_->are_of(images, indices)) frozen_ = std::make_shared<FrozenSums>(images, indices);
    const std::size_t known = frozen_->models;
    const std::size_t newly_frozen = static_cast<std::size_t>(first_trained()) - known;
    auto models = std::make_shared<std::vector<std::unique_ptr<Module>>>();
    for (std::size_t i = known; i < models_.size(); ++i) models->push_back(models_[i]->clone(context));
    return [=, sums = frozen_, combine = settings_.combine] {
      std::size_t batch = 0;
      const Evaluation result = evaluate(
          [&](const Tensor& x) {
            if (batch == sums->batches.size()) sums->batches.emplace_back(combine);
            CommitteeSum& frozen = sums->batches[batch++];
            for (std::size_t i = 0; i < newly_frozen; ++i) frozen.add(*(*models)[i], x);
            CommitteeSum all = frozen;
            for (std::size_t i = newly_frozen; i < models->size(); ++i) all.add(*(*models)[i], x);
            return all.logits();
          },
          sums->images, sums->indices);
      sums->models = known + newly_frozen;
      return result;
    };
  }

  Tensor predict(const Tensor& x) override {
    const NoGrad off;
    return softmax(committee_logits(models_, settings_.combine, x));
  }

  std::int64_t parameters() override {
    std::int64_t count = 0;
    for (const auto& model : models_) count += count_parameters(*model);
    return count;
  }

  Count macs_per_sample(std::int64_t features) override {
    if (!macs_of_one_) {
      const NoGrad off;
      const CostScope scope(context_);
      models_[0]->clone(context_)->forward(Tensor::zeros(context_, {1, features}, DType::f32));
      macs_of_one_ = scope.cost().macs;
    }
    return *macs_of_one_ * models_.size();
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
      const std::int64_t fit = member - first_trained();
      if (!fits_.empty() && fit >= 0) add(prefix(member), fits_[static_cast<std::size_t>(fit)]->tensors());
    }
    return all;
  }

  nlohmann::json state() override {
    nlohmann::json state = {{"members", models_.size()}};
    for (const auto& fit : fits_) state["fits"].push_back(fit->state());
    return state;
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    frozen_.reset();
    // Each member has tensors, so no state can ask for more of them.
    const auto members =
        static_cast<std::size_t>(json_integer(state, "members", 0, static_cast<std::int64_t>(tensors.size())));
    while (models_.size() < members) add_members(0);  // of the right shapes
    for (std::size_t i = 0; i < models_.size(); ++i) {
      const std::vector<NamedTensor> model = named_state(*models_[i]);
      copy_tensors(without_prefix(prefix(static_cast<std::int64_t>(i)) + "model.", tensors, model), model);
    }
    if (state.contains("fits")) pending_ = Pending{std::move(tensors), state.at("fits")};
  }

 private:
  // A loaded state inside an update.
  struct Pending {
    std::vector<NamedTensor> tensors;
    nlohmann::json fits;
  };
  // What the members that no longer train say about the samples that the learner is judged on.
  struct FrozenSums {
    FrozenSums(DeviceImages of_images, Tensor of_indices) : images(std::move(of_images)), indices(std::move(of_indices)) {}
    bool are_of(const DeviceImages& other, const Tensor& other_indices) const {
      return images.pixels.in().data == other.pixels.in().data && indices.in().data == other_indices.in().data;
    }
    DeviceImages images;
    Tensor indices;
    std::size_t models = 0;             // the first so many members
    std::vector<CommitteeSum> batches;  // one for each batch of an evaluation
  };
  // The fits are gone when update() is left, also by an exception.
  struct Leave {
    Ensemble& ensemble;
    ~Leave() {
      ensemble.stacked_.reset();
      ensemble.fits_.clear();
      ensemble.stack_.reset();
    }
  };

  static std::string prefix(std::int64_t member) { return "member." + std::to_string(member) + "."; }
  // The first member's names are those of a single model.
  static std::string name_of(std::int64_t member, const std::string& what) {
    return member == 0 ? what : what + ", member " + std::to_string(member + 1);
  }
  Context& context_of(std::int64_t member) {
    if (contexts_.empty()) return context_;
    return *contexts_[static_cast<std::size_t>(member % settings_.members)];
  }
  std::int64_t first_trained() const { return static_cast<std::int64_t>(models_.size()) - settings_.members; }

  std::vector<Module*> trained_models() const {
    std::vector<Module*> models;
    for (auto i = static_cast<std::size_t>(first_trained()); i < models_.size(); ++i) models.push_back(models_[i].get());
    return models;
  }

  std::unique_ptr<Module> fresh_model(std::int64_t member, std::int64_t update) {
    return make_model_(context_of(member), name_of(member, "initialisation"), static_cast<std::uint64_t>(update));
  }

  void add_members(std::int64_t update) {
    for (std::int64_t i = 0; i < settings_.members; ++i)
      models_.push_back(fresh_model(static_cast<std::int64_t>(models_.size()), update));
  }

  // What changes before an update other than the first.
  void grow(std::int64_t update) {
    if (settings_.growing) {
      if (update % settings_.grow_every != 0) return;
      const std::int64_t before = first_trained();
      add_members(update);
      for (std::int64_t i = 0; i < settings_.members && !settings_.from_scratch; ++i)
        copy_tensors(named_state(*models_[static_cast<std::size_t>(before + i)]),
                     named_state(*models_[static_cast<std::size_t>(first_trained() + i)]));
    } else if (settings_.from_scratch) {
      for (std::size_t i = 0; i < models_.size(); ++i) models_[i] = fresh_model(static_cast<std::int64_t>(i), update);
    }
  }

  MegaBatch data_of(std::int64_t member, std::int64_t update, const MegaBatch& data) const {
    if (!settings_.bagging) return data;
    RandomStream draws(settings_.seed, name_of(member, "bagging"), static_cast<std::uint64_t>(update));
    MegaBatch drawn = data;
    for (std::int32_t& sample : drawn.train) sample = data.train[draws.below(static_cast<std::uint32_t>(data.train.size()))];
    return drawn;
  }

  /// A step of those that are not done, or many where they train side by side, or of one of them; false if all were done.
  bool step() {
    if (stacked_) return stacked_->step();
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
    all.samples /= settings_.members;
    return all;
  }

  FitResult finish() {
    FitResult all;
    double accuracy = 0;
    for (const auto& fit : fits_) {
      const FitResult one = fit->finish();
      all.epochs = std::max(all.epochs, one.epochs);
      all.cost += one.cost;
      accuracy += one.best_accuracy;
    }
    all.best_accuracy = accuracy / static_cast<double>(fits_.size());
    return all;
  }

  Context& context_;
  const DeviceImages& images_;
  EnsembleSettings settings_;
  MakeModel make_model_;
  std::vector<std::unique_ptr<Context>> contexts_;  // of the members where they train side by side; else they share context_
  std::vector<std::unique_ptr<Module>> models_;     // the last settings_.members of them train
  std::vector<std::unique_ptr<Fit>> fits_;          // the update under way
  std::unique_ptr<Module> stack_;                   // of the models that train, where they train as one
  std::unique_ptr<StackedFit> stacked_;             // of the fits, if they are in step
  std::optional<Pending> pending_;
  std::shared_ptr<FrozenSums> frozen_;
  std::optional<Count> macs_of_one_;  // all models are made alike
};

}  // namespace

std::unique_ptr<Learner> make_ensemble(Context& context, const DeviceImages& images, const EnsembleSettings& settings,
                                       MakeModel make_model) {
  return std::make_unique<Ensemble>(context, images, settings, std::move(make_model));
}

}  // namespace alma
