#include "alma/config/config_schema.h"

#include <algorithm>

#include "alma/config/edit_distance.h"
#include "alma/config/kinds.h"
#include "base/error.h"

namespace alma {

namespace {

constexpr double kLargestSeed = 0x1p53 - 1;  // survives every JSON and TOML reader

using Stream = Config::Stream;
using Learner = Config::Learner;
using Model = Config::Model;
using Train = Config::Train;

// The field that holds a key's value: stream<&Stream::seed>.
template <auto member>
Field top(Config& config) {
  return &(config.*member);
}
template <auto member>
Field stream(Config& config) {
  return &(config.stream.*member);
}
template <auto member>
Field learner(Config& config) {
  return &(config.learner.*member);
}
template <auto member>
Field model(Config& config) {
  return &(config.model.*member);
}
template <auto member>
Field train(Config& config) {
  return &(config.train.*member);
}

// The words that a table of kinds defines.
template <const auto& (*kinds)()>
std::vector<Word> words_of() {
  std::vector<Word> words;
  for (const auto& kind : kinds()) words.push_back({kind.name, kind.doc, kind.available});
  return words;
}

// Each makes a Key with the fields that its type needs.
Key flag(std::string_view section, std::string_view name, Field (*field)(Config&), std::string_view doc) {
  return {section, name, field, doc};
}
Key number(std::string_view section, std::string_view name, Field (*field)(Config&), double lowest, double highest,
           std::string_view doc, std::vector<Word> words = {}) {
  return {section, name, field, doc, lowest, highest, std::move(words)};
}
Key text(std::string_view section, std::string_view name, Field (*field)(Config&), std::string_view doc,
         std::vector<Word> words = {}) {
  return {section, name, field, doc, 0, 0, std::move(words)};
}
Key kind(std::string_view section, std::string_view name, Field (*field)(Config&), std::string_view doc,
         std::vector<Word> (*words)()) {
  return {section, name, field, doc, 0, 0, {}, words};
}
Word planned(std::string name) { return {std::move(name), "", Available::planned}; }

std::vector<Key> general_keys() {
  return {
      number("", "seed", top<&Config::seed>, 0, kLargestSeed,
             "Seed of the initial weights and of the order of samples; --seed N overrides it."),
  };
}

std::vector<Key> stream_keys() {
  return {
      kind("stream", "dataset", stream<&Stream::dataset>,
           "Data set that the models learn; `alma data list` shows which ones are installed.", words_of<data_kinds>),
      text("stream", "train_images", stream<&Stream::train_images>,
           "IDX file of the training images (plain, .gz or .xz), relative to the current folder."),
      text("stream", "train_labels", stream<&Stream::train_labels>, "IDX file of the training labels."),
      text("stream", "test_images", stream<&Stream::test_images>, "IDX file of the test images."),
      text("stream", "test_labels", stream<&Stream::test_labels>, "IDX file of the test labels."),
      number("stream", "classes", stream<&Stream::classes>, 0, 256,
             "Number of classes; 0 means the largest training label + 1."),
      number("stream", "mean", stream<&Stream::mean>, -1e6, 1e6,
             "Mean of each channel of pixel / 255, which is subtracted from it; [] means the data set's own (paper: MNIST "
             ".1307)."),
      number("stream", "std", stream<&Stream::std>, 1e-6, 1e6,
             "Standard deviation of each channel of pixel / 255, by which the difference is divided (paper: MNIST .3081). "
             "Set mean and std together, or neither."),
      number("stream", "synthetic_train", stream<&Stream::synthetic_train>, 1, 1e7,
             "Number of training images to generate."),
      number("stream", "synthetic_test", stream<&Stream::synthetic_test>, 1, 1e7, "Number of test images to generate."),
      text("stream", "tokens", stream<&Stream::tokens>,
           "PREFIX of the token shards PREFIX-00000.json, ... (alma tokenize), relative to the current folder; whole "
           "documents of them are dealt out to the mega-batches, validation and test."),
      text("stream", "test_tokens", stream<&Stream::test_tokens>,
           "PREFIX of other token shards of the same vocabulary, to test on; without it, the share `test` of `tokens`."),
      number("stream", "sequence", stream<&Stream::sequence>, 1, 1 << 20,
             "Number of tokens in a sample, each predicted from those before it (paper: 512)."),
      number("stream", "test", stream<&Stream::test>, 0, 0.9,
             "Fraction of the tokens that is held out to test on, if there are no test_tokens."),
      number("stream", "mega_batches", stream<&Stream::mega_batches>, 1, 1e7,
             "B, the number of mega-batches into which the training set is split (paper: MNIST 500, CIFAR-10 100). The "
             "split is the same for all waiting times, as in the paper's text; the official code makes a new split into B / "
             "w chunks."),
      number("stream", "validation", stream<&Stream::validation>, 0, 0.9,
             "Fraction of each mega-batch that is held out for validation and never trained on (paper: .1; int(.1 * n) "
             "samples). text: fraction of all tokens, of which each mega-batch has its share."),
      number("stream", "seed", stream<&Stream::seed>, 0, kLargestSeed,
             "Seed of the random split into mega-batches and of the validation split (official code: 432)."),
      text("stream", "untrained", stream<&Stream::untrained>, "Test error that is recorded before the first update.",
           {{"chance", "1 - 1 / classes (the paper's .9); of text a perplexity of as many as there are tokens"},
            {"measured", "the error of the initial model"}}),
  };
}

std::vector<Key> learner_keys() {
  return {
      kind("learner", "method", learner<&Learner::method>, "Learning method: how models are trained and how they grow.",
           words_of<learner_kinds>),
      number("learner", "wait", learner<&Learner::wait>, 1, 1e7,
             "w, the waiting time: the number of mega-batches that the learner collects before an update, at most B. The "
             "last update trains on those that remain.",
             {{"auto",
               "decided at each arrival: an update waits for (1 + b)^(1 / b) times as many samples as the last one, b being "
               "the exponent by which the learner's own validation error falls with them"}}),
      flag("learner", "replay", learner<&Learner::replay>,
           "Whether an update trains on all data that has arrived so far, not only on the new mega-batches; the validation "
           "data accumulates likewise."),
      flag("learner", "from_scratch", learner<&Learner::from_scratch>,
           "Whether an update starts from newly initialised models (the paper's code does this together with replay). gens: "
           "whether new models start from random weights, as in the paper's text, instead of copies of the newest models, "
           "as in its figures."),
      number("learner", "members", learner<&Learner::members>, 1, 1024,
             "Number of models (paper: 2, 4). gens: number of new models per growth step (paper: 1, which is the default "
             "for gens)."),
      number("learner", "grow_every", learner<&Learner::grow_every>, 1, 1e7,
             "Number of updates from one growth step to the next; in between, what is there is trained further."),
  };
}

std::vector<Key> growth_keys() {
  return {
      text("learner", "split", learner<&Learner::split>,
           "Rule for the expert that a growth step splits in every layer, judged on the validation data that has arrived.",
           {{"usage", "the one with the largest sum of gate scores, as in the paper's figures"},
            {"loss", "the one with the largest sum of losses, weighted by the gate scores, as in the paper's text"},
            {"random", "any, as a control"}}),
      text("learner", "gate", learner<&Learner::gate>, "How a layer uses the scores of its gates.",
           {{"soft", "all experts run, weighted by the scores, as in the paper's figures"},
            {"hard",
             "each sample goes to one expert, so that its cost does not grow with their number, as in the paper's text; the "
             "gates learn by a straight-through gradient"}}),
      number("learner", "split_into", learner<&Learner::split_into>, 2, 16,
             "Number of experts, copies at first, that a split makes of one (official code: 2)."),
      number("learner", "most_experts", learner<&Learner::most_experts>, 2, 1024,
             "Largest number of experts of a layer; a layer without room for another split no longer grows."),
      text("learner", "grow_by", learner<&Learner::grow_by>, "Rule for the neurons by which a network grows.",
           {{"scores", "those that lower the loss most (Firefly)"}, {"random", "any, untrained, as a control"}}),
      text("learner", "grow_in", learner<&Learner::grow_in>, "Where a network grows by neurons.",
           {{"width", "in its layers, as in the paper"},
            {"depth", "in new layers between them, which begin as the identity"},
            {"both", "in both, wherever the rule says"}}),
      number("learner", "new_layers", learner<&Learner::new_layers>, 1, 16,
             "Largest number of layers that a growth step adds where a network grows in depth."),
      number("learner", "grow_ratio", learner<&Learner::grow_ratio>, 0, 10,
             "Neurons that are added per update, as a share of the first ones: at update t there are about 1 + grow_ratio t "
             "times as many (paper: .6)."),
      number("learner", "candidates", learner<&Learner::candidates>, 1, 4096,
             "Number of new neurons that each layer is offered at a growth step, beside splits of its own (official code: "
             "70)."),
  };
}

std::vector<Key> combination_keys() {
  return {
      text("learner", "combine", learner<&Learner::combine>, "Rule that combines the predictions of the models.",
           {{"figures",
             "as in the paper's figures and code: probabilities for ens, sum for umix (its text says mean), logits for gens "
             "(its text says probabilities) and boost"},
            {"probabilities", "ens, gens, boost: the mean of the probabilities"},
            {"logits", "ens, gens, boost: the mean of the logits"},
            {"vote", "ens, gens, boost: one vote per model; the larger mean probability breaks a tie"},
            {"sum", "umix: the sum of the logits"},
            {"mean", "umix: the mean of the logits"}}),
      flag("learner", "bagging", learner<&Learner::bagging>,
           "Whether each model trains on a bootstrap sample: as many samples as the update has, drawn with replacement."),
      number("learner", "shrink", learner<&Learner::shrink>, 0, 1,
             "Factor of the weights at the start of an update (Ash & Adams 2020: .4)."),
      number("learner", "perturb", learner<&Learner::perturb>, 0, 1,
             "Factor of newly initialised weights that are then added (Ash & Adams 2020: .1)."),
      number("learner", "dash_alpha", learner<&Learner::dash_alpha>, 0, 1,
             "Share of the newest gradient in the moving average of gradients (Shin et al. 2024: .3)."),
      number("learner", "dash_lambda", learner<&Learner::dash_lambda>, 0, 1,
             "Smallest factor by which weights shrink (Shin et al. 2024: .3)."),
      text("learner", "average", learner<&Learner::average>, "Average of the weights at the ends of the updates.",
           {{"mean", "of all updates so far"}, {"moving", "exponential, with average_decay"}}),
      number("learner", "average_decay", learner<&Learner::average_decay>, 0, 0.9999,
             "Share of the average so far in the next moving average (Lee & Storkey 2023: .95)."),
      number("learner", "memory", learner<&Learner::memory>, 1, 1e7,
             "Largest number of old training samples that are kept and trained on again."),
  };
}

std::vector<Key> model_keys() {
  return {
      kind("model", "architecture", model<&Model::architecture>, "Architecture of each model.",
           words_of<architecture_kinds>),
      number("model", "width", model<&Model::width>, 1, 65536,
             "h, the number of units in a hidden layer or of channels in a convolution (paper: 4, 16, 32, 64, 128, 256). "
             "switch: the size of the embedding (paper: 512, 768)."),
      number(
          "model", "experts", model<&Model::experts>, 1, 16,
          "Number of experts. Above 1, each hidden layer of an mlp and each of the blocks 2 to 5 of a vgg19 is a soft "
          "mixture of that many (the paper's text says 1 for MNIST, its figures use 2, for SM too). switch: experts per "
          "layer (paper: 4, 8, 12). gmoe: experts per layer before it grows, at least 2, which is its default (paper: 2)."),
      flag("model", "conv_bias", model<&Model::conv_bias>,
           "Whether convolutions have a bias. The paper's Firefly networks have none."),
      number("model", "layers", model<&Model::layers>, 0, 1024, "Number of blocks (paper: 6, 12)."),
      number("model", "heads", model<&Model::heads>, 1, 1024,
             "Number of attention heads, which divides the width (not stated in the paper)."),
      number("model", "hidden", model<&Model::hidden>, 0, 1 << 20,
             "Size of the hidden layer of a feed-forward layer, or of an expert; 0: four times the width (paper)."),
      number("model", "switch_every", model<&Model::switch_every>, 1, 1024,
             "Every how many blocks the feed-forward layer has experts, if there are more than 1 (paper: 2)."),
      text("model", "activation", model<&Model::activation>,
           "Activation of the feed-forward layers (not stated in the paper).",
           {{"relu"}, {"gelu", "its tanh form, as in GPT-2"}}),
      number("model", "capacity", model<&Model::capacity>, 1e-3, 1024,
             "Capacity factor: in training an expert takes ceil(capacity * tokens / experts) tokens of a micro-batch, and "
             "those beyond skip the layer (paper: 1)."),
      number("model", "balance", model<&Model::balance>, 0, 1000,
             "Factor of the loss that spreads tokens over the experts (Switch Transformer: .01)."),
      number(
          "model", "dropout", model<&Model::dropout>, 0, 0.99,
          "Share of the embeddings, and of what each layer adds, that is set to 0 in training (not stated in the paper)."),
      number("model", "init_std", model<&Model::init_std>, 0, 10,
             "Standard deviation of the initial weights (not stated in the paper)."),
  };
}

std::vector<Key> optimizer_keys() {
  return {
      text("train", "optimizer", train<&Train::optimizer>, "Optimizer (paper: MNIST adadelta, CIFAR-10 sgd).",
           {{"sgd"}, {"adadelta"}, {"adam"}, {"adamw"}, {"rmsprop"}}),
      number("train", "lr", train<&Train::lr>, 0, 1000, "Learning rate (paper: adadelta 1.0, sgd .01)."),
      text("train", "schedule", train<&Train::schedule>,
           "Learning rate over the steps of an update, after the warm-up (paper: constant).",
           {{"constant"},
            {"inverse_sqrt", "lr / sqrt(step), times the root of warm_up"},
            {"cosine", "half a cosine, down to 0 at the last step"},
            {"linear", "a line, down to 0 at the last step"}}),
      number("train", "warm_up", train<&Train::warm_up>, 0, 1e9,
             "Steps at the beginning of an update in which the learning rate rises to lr."),
      flag("train", "restart", train<&Train::restart>,
           "Whether the optimizer's state and the schedule of the learning rate begin anew at each update (paper; it does "
           "not say so of language models). false: they go on, so that there is one warm-up."),
      number("train", "momentum", train<&Train::momentum>, 0, 0.9999, "Momentum of sgd or rmsprop (paper: CIFAR-10 .9)."),
      flag("train", "nesterov", train<&Train::nesterov>, "Whether sgd uses Nesterov momentum."),
      number("train", "beta1", train<&Train::beta1>, 0, 0.9999999, "Decay of the first moment of adam and adamw."),
      number("train", "beta2", train<&Train::beta2>, 0, 0.9999999, "Decay of the second moment of adam and adamw."),
      number("train", "weight_decay", train<&Train::weight_decay>, 0, 100,
             "Weight decay: decoupled for adamw, added to the gradient for the other optimizers (paper: MNIST 0, CIFAR-10 "
             "1e-4)."),
      text("train", "decay", train<&Train::decay>, "Parameters that weight_decay acts on.",
           {{"all", "every parameter (paper)"},
            {"matrices", "weights and embeddings; no bias, gain of a norm, or learned position"}}),
      number("train", "clip", train<&Train::clip>, 0, 1e9,
             "Largest norm of the gradient of all parameters, beyond which it is scaled down; 0: no limit."),
  };
}

std::vector<Key> train_keys() {
  return {
      number("train", "batch_size", train<&Train::batch_size>, 1, 1 << 20,
             "Number of samples (of text: sequences) in a training step; the last step of an epoch takes the remaining ones "
             "(paper: 128)."),
      number("train", "micro_batch", train<&Train::micro_batch>, 0, 1 << 20,
             "Number of a step's samples that are in memory at a time, whose gradients are added up; 0: all."),
      number("train", "crop_pad", train<&Train::crop_pad>, 0, 1024,
             "Padding on each side of a training image, in pixels; the image is then a random crop of the original size "
             "(paper: CIFAR-10 4)."),
      number("train", "crop_fill", train<&Train::crop_fill>, -1e6, 1e6,
             "Value of the padding pixels, after normalisation (official code: -1.9)."),
      flag("train", "flip", train<&Train::flip>,
           "Whether training images are flipped horizontally with probability 1/2 (paper: CIFAR-10)."),
      number("train", "max_epochs", train<&Train::max_epochs>, 1, 1e6,
             "Maximum number of epochs in an update (paper: 100)."),
      number("train", "max_steps", train<&Train::max_steps>, 0, 1e12,
             "Above 0: maximum number of steps in an update, in place of max_epochs."),
      number("train", "patience", train<&Train::patience>, 1, 1e6,
             "Number of epochs without a better validation accuracy after which an update stops; the weights of the best "
             "epoch are kept. The paper's figures used 100 with patience_delta 0 (no early stopping); the official code's "
             "defaults are 25 and .001."),
      number("train", "patience_delta", train<&Train::patience_delta>, 0, 1,
             "Amount by which a validation accuracy must exceed the best one so far to count as better."),
      text("train", "math", train<&Train::math>, "Precision of the arithmetic.",
           {{"f32", "true single precision"}, planned("tf32"), planned("bf16")}),
      flag("train", "graph", train<&Train::graph>,
           "Whether a training step is captured as a CUDA graph, once per batch size, and replayed (cuda, cuda-sim); the "
           "results are the same."),
      number(
          "train", "checkpoint_seconds", train<&Train::checkpoint_seconds>, 0, 1e9,
          "Seconds from one checkpoint to the next, or more where saving would take over a tenth of the time; a checkpoint "
          "is also written when the run is interrupted and when it ends."),
  };
}

// Splits "learner.wait" into its section and its name.
std::pair<std::string, std::string> split_name(const std::string& full_name) {
  const std::size_t dot = full_name.find('.');
  if (dot == std::string::npos) return {"", full_name};
  return {full_name.substr(0, dot), full_name.substr(dot + 1)};
}

[[noreturn]] void unknown_key(const std::string& section, const std::string& name, const std::string& where) {
  // The right name in the wrong section is nearer than another name in the right section.
  const Key& nearest = *std::ranges::min_element(config_keys(), {}, [&](const Key& key) {
    return 2 * edit_distance(name, key.name) + (section == key.section ? 0 : 1);
  });
  const std::string full_name = section.empty() ? name : section + "." + name;
  fail(ErrorKind::usage, "unknown key ", full_name, " (", where, "); did you mean ", nearest.full_name(),
       "? `alma run --print-config` lists all keys");
}

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    for (const auto& section : {general_keys(), stream_keys(), learner_keys(), growth_keys(), combination_keys(),
                                model_keys(), optimizer_keys(), train_keys()})
      all.insert(all.end(), section.begin(), section.end());
    return all;
  }();
  return keys;
}

void check_section(const std::string& section, const std::string& where) {
  const std::vector<Key>& keys = config_keys();
  if (std::ranges::find(keys, section, &Key::section) != keys.end()) return;
  const Key& nearest = *std::ranges::min_element(keys, {}, [&](const Key& key) {
    return key.section.empty() ? std::string::npos : edit_distance(section, key.section);
  });
  fail(ErrorKind::usage, "unknown section [", section, "] (", where, "); did you mean [", nearest.section,
       "]? `alma run --print-config` lists all keys");
}

const Key& find_key(const std::string& full_name, const std::string& where) {
  const auto [section, name] = split_name(full_name);
  if (!section.empty()) check_section(section, where);
  for (const Key& key : config_keys())
    if (key.section == section && key.name == name) return key;
  unknown_key(section, name, where);
}

namespace {

template <class Row>
void add_kinds_with(const std::string& full_name, const char* key, const std::deque<Row>& rows, std::string& text) {
  std::vector<std::string> names;
  for (const Row& row : rows)
    if (std::find(row.keys.begin(), row.keys.end(), full_name) != row.keys.end()) names.push_back(row.name);
  if (names.empty()) return;
  text += key;
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? " = " : i + 1 < names.size() ? ", " : " or ") + names[i];
}

}  // namespace

std::string kinds_with(const std::string& full_name) {
  std::string text;
  add_kinds_with(full_name, "stream.dataset", data_kinds(), text);
  add_kinds_with(full_name, "learner.method", learner_kinds(), text);
  add_kinds_with(full_name, "model.architecture", architecture_kinds(), text);
  return text;
}

}  // namespace alma
