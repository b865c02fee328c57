#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "alma/learn/later_learners.h"
#include "alma/learn/learner_on.h"
#include "base/json.h"
#include "base/random.h"

namespace alma {

namespace {

class Reservoir final : public LearnerOn {
 public:
  Reservoir(std::unique_ptr<Learner> trained, std::int64_t size, std::uint64_t seed)
      : LearnerOn(std::move(trained)), size_(size), seed_(seed) {}

  FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                   const AfterStep& after_step) override {
    if (const auto most = std::ranges::max_element(memory_); most != memory_.end() && *most >= samples.count())
      fail(ErrorKind::data, "the checkpoint is of other data: its memory has sample ", *most, ", there are ",
           samples.count());
    MegaBatch all = data;
    all.train.insert(all.train.begin(), memory_.begin(), memory_.end());
    const FitResult result = base().update(update, samples, all, after_step);
    remember(update, data.train);
    return result;
  }

  std::int64_t planned_samples(std::int64_t samples, std::int64_t before) const override {
    return base().planned_samples(samples + std::min(size_, before), before);
  }

  nlohmann::json state() override {
    nlohmann::json state = base().state();
    state["memory"] = memory_;
    state["seen"] = seen_;
    return state;
  }

  void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) override {
    const nlohmann::json& saved = json_member(state, "memory");
    if (!saved.is_array() || std::ssize(saved) > size_)
      fail(ErrorKind::data, "damaged checkpoint: \"memory\" must be an array of at most ", size_, " numbers");
    memory_.clear();
    for (const nlohmann::json& sample : saved)
      memory_.push_back(
          static_cast<std::int32_t>(to_integer(sample, "memory", 0, std::numeric_limits<std::int32_t>::max())));
    seen_ = json_integer(state, "seen", std::ssize(memory_));
    base().load(std::move(tensors), state);
  }

 private:
  void remember(std::int64_t update, const std::vector<std::int32_t>& arrived) {
    RandomStream random(seed_, "reservoir", static_cast<std::uint64_t>(update));
    for (const std::int32_t sample : arrived) {
      ++seen_;
      if (std::ssize(memory_) < size_) {
        memory_.push_back(sample);
      } else if (const std::uint32_t place = random.below(static_cast<std::uint32_t>(seen_)); place < memory_.size()) {
        memory_[place] = sample;
      }
    }
  }

  std::int64_t size_;
  std::uint64_t seed_;
  std::vector<std::int32_t> memory_;  // of training samples
  std::int64_t seen_ = 0;             // those that have arrived
};

}  // namespace

std::unique_ptr<Learner> make_reservoir(std::unique_ptr<Learner> trained, std::int64_t size, std::uint64_t seed) {
  return std::make_unique<Reservoir>(std::move(trained), size, seed);
}

}  // namespace alma
