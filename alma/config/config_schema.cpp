#include "alma/config/config_schema.h"

#include <algorithm>

#include "base/error.h"

namespace alma {

namespace {

constexpr double kLargestSeed = 0x1p53 - 1;  // survives every JSON and TOML reader

using Stream = Config::Stream;
using Learner = Config::Learner;
using Model = Config::Model;
using Train = Config::Train;

// Where a key's value is: stream<&Stream::seed>.
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

// Makes a Key with the fields that its type needs.
Key flag(std::string_view section, std::string_view name, Field (*field)(Config&), std::string_view doc) {
  return {section, name, field, doc, 0, 0, {}, {}, {}};
}
Key number(std::string_view section, std::string_view name, Field (*field)(Config&), double lowest, double highest,
           std::string_view doc, std::vector<std::string_view> planned = {}) {
  return {section, name, field, doc, lowest, highest, {}, std::move(planned), {}};
}
Key text(std::string_view section, std::string_view name, Field (*field)(Config&), std::string_view doc,
         std::vector<std::string_view> choices = {}, std::vector<std::string_view> planned = {},
         std::vector<std::string_view> report_only = {}) {
  return {section, name, field, doc, 0, 0, std::move(choices), std::move(planned), std::move(report_only)};
}

std::vector<Key> general_keys() {
  return {
      number("", "seed", top<&Config::seed>, 0, kLargestSeed,
             "of initial weights and of the order of samples; `--seed N` overrides it"),
  };
}

std::vector<Key> stream_keys() {
  return {
      text("stream", "dataset", stream<&Stream::dataset>, "what is learned; `alma data list` says which are installed",
           {"mnist", "fashion-mnist", "cifar10", "idx", "synthetic-images"}, {}, {"text"}),
      text("stream", "train_images", stream<&Stream::train_images>,
           "idx: four files of your own (plain, .gz or .xz), relative to the current folder"),
      text("stream", "train_labels", stream<&Stream::train_labels>, "idx"),
      text("stream", "test_images", stream<&Stream::test_images>, "idx"),
      text("stream", "test_labels", stream<&Stream::test_labels>, "idx"),
      number("stream", "classes", stream<&Stream::classes>, 0, 256, "idx: number of classes; 0 takes the largest label + 1"),
      number("stream", "mean", stream<&Stream::mean>, -1e6, 1e6,
             "per channel, subtracted from pixel / 255; [] takes that of the data set (paper: MNIST .1307, .3081)"),
      number("stream", "std", stream<&Stream::std>, 1e-6, 1e6,
             "per channel, what the result is divided by; given together with mean"),
      number("stream", "synthetic_train", stream<&Stream::synthetic_train>, 1, 1e7, "synthetic-images: training images"),
      number("stream", "synthetic_test", stream<&Stream::synthetic_test>, 1, 1e7, "synthetic-images: test images"),
      number("stream", "mega_batches", stream<&Stream::mega_batches>, 1, 1e7,
             "B, parts of the training set (paper: MNIST 500, CIFAR-10 100). The official code cuts the set anew into B/w "
             "chunks; here the partition is fixed and the learner waits, as the text says"),
      number("stream", "validation", stream<&Stream::validation>, 0, 0.9,
             "part of each mega-batch that is never trained on (paper: .1; int(.1 * n) samples)"),
      number("stream", "seed", stream<&Stream::seed>, 0, kLargestSeed,
             "of the permutation into mega-batches and of the validation split (official code: 432)"),
      text("stream", "untrained", stream<&Stream::untrained>,
           "error before the first update: chance = 1 - 1/classes (the paper's .9), or measured on the initial model",
           {"chance", "measured"}),
  };
}

std::vector<Key> learner_keys() {
  return {
      text("learner", "method", learner<&Learner::method>,
           "sm = one model, finetuned at each update; ens = independent models, all finetuned; umix = models under one loss "
           "on "
           "their combined logits; gens = new models at each growth, and only the newest train; gmoe = one model that gets "
           "new experts (the paper's names)",
           {"sm", "ens", "umix", "gens"}, {"ff"}, {"gmoe"}),
      number("learner", "wait", learner<&Learner::wait>, 1, 1e7,
             "w, how many mega-batches are collected before an update; 1 <= w <= B; the last update takes what is left",
             {"auto"}),
      flag("learner", "replay", learner<&Learner::replay>,
           "train on everything that has arrived, not only on the new mega-batches; validation accumulates likewise"),
      flag("learner", "from_scratch", learner<&Learner::from_scratch>,
           "a new random model for each update (the paper's code means it for replay = true); gens: new models start at "
           "random, "
           "as the paper's text says, and not from the newest ones, as in its figures"),
      number("learner", "members", learner<&Learner::members>, 1, 1024,
             "ens, umix: how many models (paper: 2, 4); gens: new ones per growth (paper: 1, the default there); sm: no "
             "effect"),
      number("learner", "grow_every", learner<&Learner::grow_every>, 1, 1e7,
             "gens: in updates; between growths the newest models are finetuned; no effect on others"),
      text(
          "learner", "combine", learner<&Learner::combine>,
          "how models predict together: figures = what the paper's figures were made with, which is for ens: probabilities, "
          "for umix: sum (of logits; its text says mean), for gens: logits (averaged; its text says probabilities). ens, "
          "gens: "
          "probabilities, logits, or vote (equal votes: the larger mean probability); umix: sum or mean",
          {"figures", "probabilities", "logits", "vote", "sum", "mean"}),
      flag("learner", "bagging", learner<&Learner::bagging>,
           "ens: each model trains on as many samples of the update, drawn with replacement"),
  };
}

std::vector<Key> model_keys() {
  return {
      text("model", "architecture", model<&Model::architecture>,
           "mlp = two hidden layers with ReLU (the paper's \"three-layer\" network); vgg19 = 16 convolutions of equal width "
           "with "
           "batch normalisation, for images of 32 x 32 (CIFAR-10); switch = a transformer with top-1 experts, for text",
           {"mlp", "vgg19"}, {}, {"switch"}),
      number("model", "width", model<&Model::width>, 1, 65536,
             "h, units of a hidden layer, or channels of every convolution (paper: 4, 16, 32, 64, 128, 256); switch: of its "
             "embedding (paper: 512, 768)"),
      number(
          "model", "experts", model<&Model::experts>, 1, 16,
          "> 1: each hidden layer of an mlp, or each of the blocks 2 to 5 of a vgg19, is a soft mixture of so many. The "
          "paper's text says fully-connected (1), its MNIST figures use 2, for SM too. switch: experts of a layer (paper: "
          "4, 8, 12); gmoe: before it grows"),
  };
}

std::vector<Key> train_keys() {
  return {
      text("train", "optimizer", train<&Train::optimizer>, "made anew for each update (paper: MNIST adadelta, CIFAR-10 sgd)",
           {"sgd", "adadelta", "adam", "adamw"}),
      number("train", "lr", train<&Train::lr>, 0, 1000, "learning rate, constant (paper: adadelta 1.0, sgd .01)"),
      number("train", "momentum", train<&Train::momentum>, 0, 0.9999, "sgd (paper: CIFAR-10 .9)"),
      flag("train", "nesterov", train<&Train::nesterov>, "sgd with momentum"),
      number("train", "weight_decay", train<&Train::weight_decay>, 0, 100,
             "adamw: decoupled; others: added to the gradient (paper: MNIST 0, CIFAR-10 1e-4)"),
      number("train", "batch_size", train<&Train::batch_size>, 1, 1 << 20,
             "samples of a step; the last step of an epoch takes what is left (paper: 128)"),
      number(
          "train", "crop_pad", train<&Train::crop_pad>, 0, 1024,
          "each training image is cut at random out of itself with so many rows and columns around it (paper: CIFAR-10 4)"),
      number("train", "crop_fill", train<&Train::crop_fill>, -1e6, 1e6,
             "what these hold, after normalisation (official code: -1.9)"),
      flag("train", "flip", train<&Train::flip>, "training images are mirrored with probability 1/2 (paper: CIFAR-10)"),
      number("train", "max_epochs", train<&Train::max_epochs>, 1, 1e6, "of an update (paper: 100)"),
      number("train", "patience", train<&Train::patience>, 1, 1e6,
             "an update ends after so many epochs without a better validation accuracy; the best epoch's weights stay. "
             "The figures used 100 with delta 0 (no early end), the official defaults are 25 and .001"),
      number("train", "patience_delta", train<&Train::patience_delta>, 0, 1, "better means better by more than this"),
      text("train", "math", train<&Train::math>, "f32 = true single precision", {"f32"}, {"tf32", "bf16"}),
      flag("train", "graph", train<&Train::graph>,
           "cuda, cuda-sim: a training step is captured once per batch size as a CUDA graph and replayed; same results"),
      number("train", "checkpoint_seconds", train<&Train::checkpoint_seconds>, 0, 1e9,
             "between checkpoints; one is also written on SIGINT and at the end"),
  };
}

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    for (const auto& section : {general_keys(), stream_keys(), learner_keys(), model_keys(), train_keys()})
      all.insert(all.end(), section.begin(), section.end());
    return all;
  }();
  return keys;
}

namespace {

void check_learner(const Learner& learner, const std::string& source) {
  const std::string& method = learner.method;
  const auto refuse = [&](const std::string& what, const char* expected) {
    fail(ErrorKind::usage, what, " does not go with learner.method = \"", method, "\"; expected ", expected, " (", source,
         ')');
  };
  const bool separate = method == "ens" || method == "gens";
  const std::string& combine = learner.combine;
  if (combine != "figures") {
    const bool for_umix = combine == "sum" || combine == "mean";
    const std::string what = "learner.combine = \"" + combine + "\"";
    if (method == "sm") refuse(what, "\"figures\", since one model has nothing to combine");
    if (method == "umix" && !for_umix) refuse(what, "figures | sum | mean");
    if (separate && for_umix) refuse(what, "figures | probabilities | logits | vote");
  }
  if (learner.bagging && method != "ens") refuse("learner.bagging = true", "method = \"ens\", or bagging = false");
  if (combine == "vote" && method == "ens" && learner.members == 1)
    fail(ErrorKind::usage, "learner.combine = \"vote\" with learner.members = 1: a vote needs at least 2 models (", source,
         ')');
}

void check_text(const Config& config, const std::string& source) {
  const std::string &dataset = config.stream.dataset, &architecture = config.model.architecture;
  if ((dataset == "text") != (architecture == "switch"))
    fail(ErrorKind::usage, "model.architecture = \"", architecture, "\" does not go with stream.dataset = \"", dataset,
         "\"; expected architecture = \"switch\" for \"text\", and another for images (", source, ')');
}

}  // namespace

void check_trainable(const Config& config) {
  Config copy = config;
  for (const Key& key : config_keys()) {
    const Field field = key.field(copy);
    const auto* value = std::get_if<std::string*>(&field);
    if (value == nullptr || std::find(key.report_only.begin(), key.report_only.end(), **value) == key.report_only.end())
      continue;
    fail(ErrorKind::usage, key.full_name(), " = ", toml_string(**value),
         " can be neither trained nor evaluated by this version; expected ", allowed_values(key),
         " (finished runs of it can be shown: alma report DIR)");
  }
}

void check_together(const Config& config, const std::string& source) {
  const Stream& stream = config.stream;
  const Learner& learner = config.learner;
  const Train& train = config.train;
  if (learner.wait > stream.mega_batches)
    fail(ErrorKind::usage, "learner.wait = ", learner.wait, " is more than stream.mega_batches = ", stream.mega_batches,
         "; expected 1 <= wait <= mega_batches, since no update would ever happen (", source, ")");
  check_learner(learner, source);
  check_text(config, source);
  if (train.momentum != 0 && train.optimizer != "sgd")
    fail(ErrorKind::usage, "train.momentum = ", train.momentum, " has no effect on train.optimizer = \"", train.optimizer,
         "\"; expected 0, or optimizer = \"sgd\" (", source, ")");
  if (train.nesterov && train.momentum == 0)
    fail(ErrorKind::usage, "train.nesterov = true needs optimizer = \"sgd\" with train.momentum > 0, found optimizer = \"",
         train.optimizer, "\" with momentum 0 (", source, ")");
  if (stream.mean.size() != stream.std.size())
    fail(ErrorKind::usage, "stream.mean has ", stream.mean.size(), " and stream.std ", stream.std.size(),
         " numbers; expected one of each per channel, or neither (", source, ")");
  const std::string* paths[] = {&stream.train_images, &stream.train_labels, &stream.test_images, &stream.test_labels};
  const char* names[] = {"train_images", "train_labels", "test_images", "test_labels"};
  for (int i = 0; i < 4; ++i)
    if ((stream.dataset == "idx") == paths[i]->empty())
      fail(ErrorKind::usage, "stream.", names[i], paths[i]->empty() ? " is not set" : " is set", " with stream.dataset = \"",
           stream.dataset, "\"; expected four paths for \"idx\" and none for other data sets (", source, ")");
}

}  // namespace alma
