// The rows of learner.method.
#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "alma/config/config.h"
#include "alma/learn/ensemble.h"
#include "alma/learn/expert_growth.h"
#include "alma/learn/kinds.h"
#include "alma/learn/later_learners.h"
#include "alma/learn/neuron_growth.h"
#include "models/umix.h"

namespace alma {

namespace {

using Label = std::function<std::string(const Config&)>;

// The paper's names. A language model's name includes the number of experts per layer, as in the paper's Fig. 5.
Label one_model_name(const std::string& name) {
  return [name](const Config& config) {
    return name + (data_kind(config).input == Input::text ? std::to_string(config.model.experts) : "");
  };
}
Label many_models_name(const std::string& name) {
  return [name](const Config& config) {
    const std::string members = std::to_string(config.learner.members);
    const bool language = data_kind(config).input == Input::text;
    return name + (language ? std::to_string(config.model.experts) + "@" + members : members);
  };
}

/// learner.combine must be "figures" or one of these.
void check_combine(const Config& config, const std::string& where, std::initializer_list<std::string_view> others) {
  const std::string& combine = config.learner.combine;
  if (combine == "figures" || std::find(others.begin(), others.end(), combine) != others.end()) return;
  std::string allowed = "figures";
  for (const std::string_view other : others) allowed += " | " + std::string(other);
  fail(ErrorKind::usage, "learner.combine = \"", combine, "\" does not go with learner.method = \"", config.learner.method,
       "\"; expected ", allowed, " (", where, ')');
}

/// The rule that combines models that are trained separately; `figures` is the rule of the paper's figures.
Combine combine_models(const Config::Learner& learner, Combine figures) {
  if (learner.combine == "figures") return figures;
  if (learner.combine == "vote") return Combine::vote;
  return learner.combine == "logits" ? Combine::logits : Combine::probabilities;
}

/// Of fits with a fixed number of steps; 0 for others.
std::int64_t steps_of_all_updates(const Config& config) {
  const std::int64_t wait = std::max<std::int64_t>(1, config.learner.wait);
  return (config.stream.mega_batches + wait - 1) / wait * config.train.max_steps;
}

/// Settings of one model that is trained further at each update; the other ensembles change what their rows name.
EnsembleSettings single_model_settings(const Config& config) {
  EnsembleSettings settings;
  settings.fit = fit_settings(config.train);
  settings.seed = static_cast<std::uint64_t>(config.seed);
  settings.from_scratch = config.learner.from_scratch;
  settings.optimizer_goes_on = !config.train.restart;
  if (settings.optimizer_goes_on) settings.fit.schedule_steps = steps_of_all_updates(config);
  return settings;
}

std::int64_t one_model(const Config&, std::int64_t) { return 1; }

MakeModel model_maker(const LearnerRequest& request) {
  return
      [config = request.config, input = request.input](Context& context, const std::string& purpose, std::uint64_t index) {
        return make_model(config, input, context, purpose, index);
      };
}

std::unique_ptr<Learner> make_ensemble_of(const LearnerRequest& request, const EnsembleSettings& settings) {
  return make_ensemble(request.context, settings, model_maker(request));
}

LearnerKind single_model() {
  LearnerKind kind{{"sm", "one model, trained further at each update"}};
  kind.of_text = true;
  kind.label = one_model_name("SM");
  kind.models = one_model;
  kind.make = [](const LearnerRequest& request) { return make_ensemble_of(request, single_model_settings(request.config)); };
  return kind;
}

LearnerKind ensemble() {
  LearnerKind kind{{"ens", "independent models, all trained further at each update"}};
  kind.of_text = true;
  kind.keys = {"learner.members", "learner.combine", "learner.bagging"};
  kind.check = [](const Config& config, const std::string& where) {
    check_combine(config, where, {"probabilities", "logits", "vote"});
    if (config.learner.combine == "vote" && config.learner.members == 1)
      fail(ErrorKind::usage, "learner.combine = \"vote\" with learner.members = 1: a vote needs at least 2 models (", where,
           ')');
  };
  kind.label = many_models_name("Ens");
  kind.models = [](const Config& config, std::int64_t) { return config.learner.members; };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.members = learner.members;
    settings.bagging = learner.bagging;
    settings.combine = combine_models(learner, Combine::probabilities);
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind uniform_mixture() {
  LearnerKind kind{{"umix", "models trained jointly by one loss on their combined logits"}};
  kind.keys = {"learner.members", "learner.combine"};
  kind.check = [](const Config& config, const std::string& where) { check_combine(config, where, {"sum", "mean"}); };
  kind.label = many_models_name("UMix");
  kind.models = [](const Config& config, std::int64_t) { return config.learner.members; };
  kind.make = [](const LearnerRequest& request) {
    const std::int64_t members = request.config.learner.members;
    const bool average = request.config.learner.combine == "mean";
    const auto make_mixture = [=, make_member = model_maker(request)](Context& context, const std::string& purpose,
                                                                      std::uint64_t index) {
      std::vector<std::unique_ptr<Module>> models;
      for (std::int64_t k = 0; k < members; ++k)
        models.push_back(make_member(context, purpose + ", part " + std::to_string(k + 1), index));
      return std::make_unique<UniformMixture>(std::move(models), average);
    };
    return make_ensemble(request.context, single_model_settings(request.config), make_mixture);
  };
  return kind;
}

LearnerKind growing_ensemble() {
  LearnerKind kind{{"gens", "an ensemble that grows by new models; only the newest are trained"}};
  kind.keys = {"learner.members", "learner.grow_every", "learner.combine"};
  kind.check = [](const Config& config, const std::string& where) {
    check_combine(config, where, {"probabilities", "logits", "vote"});
  };
  kind.label = [](const Config& config) {
    return config.learner.members == 1 ? one_model_name("gEns")(config) : many_models_name("gEns")(config);
  };
  kind.members = 1;                                               // per growth, as in the paper
  kind.models = [](const Config& config, std::int64_t updates) {  // the first are there before any update
    return config.learner.members * (1 + std::max<std::int64_t>(0, updates - 1) / config.learner.grow_every);
  };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.members = learner.members;
    settings.growing = true;
    settings.grow_every = learner.grow_every;
    settings.combine = combine_models(learner, Combine::logits);
    return make_ensemble_of(request, settings);
  };
  return kind;
}

/// For learners whose updates start from what there is.
void check_goes_on(const Config& config, const std::string& where) {
  if (config.learner.from_scratch)
    fail(ErrorKind::usage, "learner.from_scratch = true does not go with learner.method = \"", config.learner.method,
         "\", which goes on from the last weights (", where, ')');
}

LearnerKind boosted_ensemble() {
  LearnerKind kind{{"boost", "an ensemble that grows by new models, trained on what the others get wrong (AdaBoost.SAMME)"}};
  kind.keys = {"learner.grow_every", "learner.combine"};
  kind.check = [](const Config& config, const std::string& where) {
    check_combine(config, where, {"probabilities", "logits", "vote"});
  };
  kind.label = one_model_name("Boost");
  kind.models = [](const Config& config, std::int64_t updates) {
    return 1 + std::max<std::int64_t>(0, updates - 1) / config.learner.grow_every;
  };
  kind.make = [](const LearnerRequest& request) {
    EnsembleSettings settings = single_model_settings(request.config);
    settings.growing = settings.boosting = true;
    settings.grow_every = request.config.learner.grow_every;
    settings.combine = combine_models(request.config.learner, Combine::logits);
    return make_ensemble_of(request, settings);
  };
  return kind;
}

SplitRule split_rule(const Config::Learner& learner) {
  if (learner.split == "usage") return SplitRule::usage;
  return learner.split == "loss" ? SplitRule::loss : SplitRule::random;
}

LearnerKind growing_experts() {
  LearnerKind kind{{"gmoe", "one mixture-of-experts model whose layers grow by splits of their experts"}};
  kind.keys = {"learner.grow_every", "learner.split", "learner.gate", "learner.split_into", "learner.most_experts"};
  kind.experts = 2;  // as in the paper's figures
  kind.check = [](const Config& config, const std::string& where) {
    if (config.model.experts < 2)
      fail(ErrorKind::usage, "model.experts = ", config.model.experts, " does not go with learner.method = \"gmoe\", whose ",
           "layers are mixtures from the start; expected 2 or more (", where, ')');
    if (config.learner.gate == "hard" && config.train.graph)
      fail(ErrorKind::usage,
           "train.graph = true does not go with learner.gate = \"hard\", whose steps wait for the device (", where, ')');
    check_goes_on(config, where);
  };
  kind.label = [](const Config& config) {
    return one_model_name("gMoE")(config) + (config.learner.gate == "hard" ? " hard" : "");
  };
  kind.models = one_model;
  kind.growths = [](const Config& config, std::int64_t update) {
    const Config::Learner& learner = config.learner;
    const std::int64_t most = (learner.most_experts - config.model.experts) / (learner.split_into - 1);
    return std::min(update / learner.grow_every, std::max<std::int64_t>(0, most));
  };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.grow_every = learner.grow_every;
    settings.grows_experts = true;
    settings.prepare = [growth = ExpertGrowth{split_rule(learner), learner.split_into, learner.most_experts},
                        seed = settings.seed](Module& model, std::int64_t update, const Samples& samples,
                                              const MegaBatch& data, const std::function<void()>&) {
      RandomStream init(seed, "growth", static_cast<std::uint64_t>(update));
      grow_experts(model, samples, data, growth, init);
    };
    return make_ensemble_of(request, settings);
  };
  return kind;
}

NeuronGrowth neuron_growth(const Config& config) {
  const Config::Learner& learner = config.learner;
  return {.ratio = learner.grow_ratio,
          .candidates = learner.candidates,
          .width = learner.grow_in != "depth",
          .new_layers = learner.grow_in == "width" ? 0 : learner.new_layers,
          .random = learner.grow_by == "random",
          .batch_size = config.train.batch_size};
}

LearnerKind firefly() {
  LearnerKind kind{{"ff", "one model that grows by new neurons where they lower the loss most (Firefly)"}};
  kind.keys = {"learner.grow_every", "learner.grow_by",    "learner.grow_in",
               "learner.new_layers", "learner.grow_ratio", "learner.candidates"};
  kind.check = [](const Config& config, const std::string& where) {
    if (config.model.experts != 1)
      fail(ErrorKind::usage, "model.experts = ", config.model.experts,
           " does not go with learner.method = \"ff\", which grows plain networks; expected 1 (", where, ')');
    check_goes_on(config, where);
  };
  kind.label = [](const Config& config) {
    const Config::Learner& learner = config.learner;
    const std::string where = learner.grow_in == "width" ? "" : learner.grow_in == "depth" ? " depth" : " width and depth";
    return "FF" + where + (learner.grow_by == "random" ? " random" : "");
  };
  kind.models = one_model;
  kind.width = [](const Config& config, std::int64_t update) {
    double width = 1;
    for (std::int64_t t = config.learner.grow_every; t <= update; t += config.learner.grow_every)
      width *= 1 + growth_ratio({.ratio = config.learner.grow_ratio}, t);
    return width;
  };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.grow_every = learner.grow_every;
    settings.prepare = [growth = neuron_growth(request.config), seed = settings.seed](
                           Module& model, std::int64_t update, const Samples& samples, const MegaBatch& data,
                           const std::function<void()>& after_batch) {
      RandomStream random(seed, "growth", static_cast<std::uint64_t>(update));
      grow_neurons(model, samples, data, growth, update, random, after_batch);
    };
    return make_ensemble_of(request, settings);
  };
  return kind;
}

// ---- later baselines ----

Label fixed_name(const std::string& name) {
  return [name](const Config&) { return name; };
}

LearnerKind uniform_replay() {
  LearnerKind kind{{"uniform-replay", "sm that replays at no cost: as many steps as without replay, on all data so far"}};
  kind.of_text = true;
  kind.check = [](const Config& config, const std::string& where) {
    if (!config.learner.replay)
      fail(ErrorKind::usage, "learner.method = \"uniform-replay\" draws from all data that has arrived; expected ",
           "learner.replay = true (", where, ')');
  };
  kind.label = fixed_name("Replay at equal steps");
  kind.models = one_model;
  kind.epoch_samples = [](const Config&, std::int64_t, std::int64_t arrived) { return arrived; };
  kind.make = [](const LearnerRequest& request) {
    EnsembleSettings settings = single_model_settings(request.config);
    settings.steps_of_arrived = true;
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind shrink_perturb() {
  LearnerKind kind{{"shrink-perturb", "sm that starts each update from shrunk weights and some noise"}};
  kind.of_text = true;
  kind.keys = {"learner.shrink", "learner.perturb"};
  kind.check = check_goes_on;
  kind.label = fixed_name("Shrink-perturb");
  kind.models = one_model;
  kind.make = [](const LearnerRequest& request) {
    EnsembleSettings settings = single_model_settings(request.config);
    settings.prepare = [&context = request.context, fresh = model_maker(request), shrink = request.config.learner.shrink,
                        perturb = request.config.learner.perturb](Module& model, std::int64_t update, const Samples&,
                                                                  const MegaBatch&, const std::function<void()>&) {
      shrink_and_perturb(model, *fresh(context, "perturbation", static_cast<std::uint64_t>(update)), shrink, perturb);
    };
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind dash() {
  LearnerKind kind{{"dash", "sm that shrinks, before each update, the weights that point away from where the loss falls"}};
  kind.keys = {"learner.dash_alpha", "learner.dash_lambda"};
  kind.check = check_goes_on;
  kind.label = fixed_name("DASH");
  kind.models = one_model;
  kind.make = [](const LearnerRequest& request) {
    EnsembleSettings settings = single_model_settings(request.config);
    settings.prepare = [dash = DashSettings{request.config.learner.dash_alpha, request.config.learner.dash_lambda}](
                           Module& model, std::int64_t, const Samples& samples, const MegaBatch& data,
                           const std::function<void()>& after_batch) {
      shrink_by_direction(model, samples, data, dash, after_batch);
    };
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind averaged() {
  LearnerKind kind{{"average", "sm that is tested with the average of its weights at the ends of the updates"}};
  kind.of_text = true;
  kind.keys = {"learner.average", "learner.average_decay"};
  kind.label = fixed_name("SM averaged");
  kind.models = one_model;
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    return make_averaged(make_ensemble_of(request, single_model_settings(request.config)),
                         model_maker(request)(request.context, "initialisation", 0),
                         {learner.average == "moving", learner.average_decay});
  };
  return kind;
}

LearnerKind reservoir() {
  LearnerKind kind{{"reservoir", "sm that keeps a bounded number of old samples and trains on them again"}};
  kind.of_text = true;
  kind.keys = {"learner.memory"};
  kind.check = [](const Config& config, const std::string& where) {
    if (config.learner.replay)
      fail(ErrorKind::usage, "learner.replay = true keeps all data and does not go with learner.method = \"reservoir\"; ",
           "expected replay = false, or another method (", where, ')');
  };
  kind.label = [](const Config& config) { return "Reservoir" + std::to_string(config.learner.memory); };
  kind.models = one_model;
  kind.epoch_samples = [](const Config& config, std::int64_t before, std::int64_t arrived) {
    return arrived + std::min(before, config.learner.memory);
  };
  kind.make = [](const LearnerRequest& request) {
    return make_reservoir(make_ensemble_of(request, single_model_settings(request.config)), request.config.learner.memory,
                          static_cast<std::uint64_t>(request.config.seed));
  };
  return kind;
}

}  // namespace

std::deque<LearnerKind> built_in_learners() {
  return {single_model(),    ensemble(), uniform_mixture(), growing_ensemble(), boosted_ensemble(),
          growing_experts(), firefly(),  uniform_replay(),  shrink_perturb(),   dash(),
          averaged(),        reservoir()};
}

}  // namespace alma
