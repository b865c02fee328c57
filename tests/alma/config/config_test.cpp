#include "alma/config/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "alma/config/config_schema.h"
#include "alma/config/kinds.h"
#include "data/catalogue.h"
#include "tests/data/files.h"

namespace alma {
namespace {

using test::expect_error;

void expect_usage_error(const std::string& text, const std::vector<std::string>& parts) {
  expect_error(ErrorKind::usage, parts, [&] { parse_config(text, "x.toml"); });
}
void expect_set_error(const std::string& set, const std::vector<std::string>& parts) {
  expect_error(ErrorKind::usage, parts, [&] { parse_config("", "x.toml", {set}); });
}

// Every key away from its default, to a value that is allowed. Keys that belong together are set together.
Config unusual() {
  Config config;
  config.seed = 9007199254740991;
  // clang-format off
  config.stream = {"idx", "a \"quoted\"\\path", "b\tc\n", "d'e", "ümlaut\x7f", 7, {0.1, -0.25}, {1e-6, 1.0 / 3}, 12, 34, "", "",
                   64, 0.2, 11, 0.3, 1, "measured"};
  // clang-format on
  config.learner = {"ens", 11,  true, true,   5,    6,   "usage", "soft", 3,     7,      "scores", "width",
                    2,     0.7, 8,    "vote", true, 0.5, 0.25,    0.75,   0.125, "mean", 0.5,      12};
  config.model = {"vgg19", 3, 16, false, 4, 2, 12, 3, "relu", 1.25, 0.5, 0.1, 0.03};
  config.train = {"sgd", 0.01, 0.9, true, 0.8,  0.95, 1e-4, "matrices", 2.5,   "cosine", 100,  true,
                  1,     5,    4,   0.5,  true, 2,    9,    3,          0.001, "f32",    true, 1e-300};
  return config;
}

TEST(Config, DefaultsAreThoseOfTheContract) {
  const Config config = parse_config("", "x.toml");
  EXPECT_EQ(config.seed, 0);
  EXPECT_EQ(config.stream.dataset, "mnist");
  EXPECT_EQ(config.stream.mega_batches, 500);
  EXPECT_EQ(config.stream.validation, 0.1);
  EXPECT_EQ(config.stream.seed, 432);
  EXPECT_EQ(config.stream.untrained, "chance");
  EXPECT_EQ(config.learner.method, "sm");
  EXPECT_EQ(config.learner.wait, 1);
  EXPECT_FALSE(config.learner.replay);
  EXPECT_FALSE(config.learner.from_scratch);
  EXPECT_EQ(config.learner.members, 4);
  EXPECT_EQ(config.learner.grow_every, 1);
  EXPECT_EQ(config.learner.split, "usage");
  EXPECT_EQ(config.learner.gate, "soft");
  EXPECT_EQ(config.learner.split_into, 2);
  EXPECT_EQ(config.learner.most_experts, 64);
  EXPECT_EQ(config.learner.combine, "figures");
  EXPECT_FALSE(config.learner.bagging);
  EXPECT_EQ(config.model.architecture, "mlp");
  EXPECT_EQ(config.model.width, 64);
  EXPECT_EQ(config.model.experts, 1);
  EXPECT_EQ(config.train.optimizer, "adadelta");
  EXPECT_EQ(config.train.lr, 1.0);
  EXPECT_EQ(config.train.momentum, 0.0);
  EXPECT_FALSE(config.train.nesterov);
  EXPECT_EQ(config.train.weight_decay, 0.0);
  EXPECT_EQ(config.train.batch_size, 128);
  EXPECT_EQ(config.train.crop_pad, 0);
  EXPECT_EQ(config.train.crop_fill, -1.9);
  EXPECT_FALSE(config.train.flip);
  EXPECT_EQ(config.train.max_epochs, 100);
  EXPECT_EQ(config.train.patience, 100);
  EXPECT_EQ(config.train.patience_delta, 0.0);
  EXPECT_EQ(config.train.math, "f32");
  EXPECT_EQ(config.train.checkpoint_seconds, 10.0);
}

TEST(Config, WhatIsWrittenReadsBack) {
  for (const Config& config : {Config{}, unusual()})
    for (bool docs : {false, true}) {
      const Config read = parse_config(write_config(config, docs), "written");
      EXPECT_TRUE(differences(config, read).empty()) << write_config(config, docs);
    }
  // Values themselves, not only their text: a path with all sorts of characters, and a double that decimals only approach.
  const Config read = parse_config(write_config(unusual()), "written");
  EXPECT_EQ(read.stream.train_images, unusual().stream.train_images);
  EXPECT_EQ(read.stream.train_labels, unusual().stream.train_labels);
  EXPECT_EQ(read.stream.test_labels, unusual().stream.test_labels);
  EXPECT_EQ(read.stream.std, unusual().stream.std);
  EXPECT_EQ(read.seed, unusual().seed);
}

TEST(Config, EveryKeyIsListedOnceWithADoc) {
  std::set<std::string> names;
  for (const Key& key : config_keys()) {
    EXPECT_TRUE(names.insert(key.full_name()).second) << key.full_name();
    EXPECT_FALSE(key.doc.empty()) << key.full_name();
    EXPECT_EQ(key.doc.find('\n'), std::string_view::npos) << key.full_name();
  }
  // unusual() differs from the default in every key but these: one knows one name only, the others go with another method
  // or other data.
  const std::set<std::string> single = {"train.math",      "learner.split",   "learner.gate",  "learner.average",
                                        "learner.grow_by", "learner.grow_in", "stream.tokens", "stream.test_tokens",
                                        "train.restart",   "model.activation"};
  const auto different = differences(Config{}, unusual());
  EXPECT_EQ(different.size() + single.size(), names.size());
  for (const auto& [key, a, b] : different) EXPECT_FALSE(single.contains(key)) << key;
}

TEST(Config, DifferencesNameBothValues) {
  const Config a = parse_config("learner.wait = 3\nmodel.width = 5", "a");
  const Config b = parse_config("learner.wait = 4\nmodel.width = 5", "b");
  const auto found = differences(a, b);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, "learner.wait");
  EXPECT_EQ(found[0].a, "3");
  EXPECT_EQ(found[0].b, "4");
}

TEST(Config, ListMarksWhatIsNotTheDefault) {
  for (const auto& [key, value, is_default] : list_config(parse_config("[model]\nwidth = 8", "x")))
    EXPECT_EQ(is_default, key != "model.width") << key;
}

TEST(Config, SetOverridesInOrder) {
  const Config config =
      parse_config("[learner]\nwait = 2", "x.toml",
                   {"learner.wait=3", "learner.wait=4", "learner.replay=true", "train.lr=1", "train.optimizer=adam",
                    "stream.untrained=\"measured\"", "seed=7", "stream.mean=[0.5]", "stream.std=[0.25]"});
  EXPECT_EQ(config.learner.wait, 4);
  EXPECT_TRUE(config.learner.replay);
  EXPECT_EQ(config.train.lr, 1.0);
  EXPECT_EQ(config.train.optimizer, "adam");
  EXPECT_EQ(config.stream.untrained, "measured");
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.stream.mean, std::vector<double>{0.5});
}

TEST(Config, SetTakesPathsWithoutQuotes) {
  const Config config = parse_config("stream.dataset = \"idx\"", "x.toml",
                                     {"stream.train_images=/a/b c=d.gz", "stream.train_labels=./l",
                                      "stream.test_images=1\n[x]", "stream.test_labels=a # b"});
  EXPECT_EQ(config.stream.train_images, "/a/b c=d.gz");
  EXPECT_EQ(config.stream.train_labels, "./l");
  EXPECT_EQ(config.stream.test_images, "1\n[x]");  // not a second table
  EXPECT_EQ(config.stream.test_labels, "a # b");
}

TEST(Config, UnknownNamesAreAnsweredWithTheNearest) {
  expect_usage_error("[stream]\nmega_batch = 3",
                     {"unknown key stream.mega_batch", "x.toml:2", "did you mean stream.mega_batches?"});
  expect_usage_error("wait = 3", {"unknown key wait", "x.toml:1", "learner.wait"});
  expect_usage_error("[train]\n\nwait = 3", {"unknown key train.wait", "x.toml:3", "learner.wait"});
  expect_usage_error("[strem]\nseed = 3", {"unknown section [strem]", "x.toml:1", "[stream]"});
  expect_usage_error("[train.inner]\na = 3", {"unknown key train.inner"});
  expect_set_error("model.widht=3", {"unknown key model.widht", "--set model.widht=3", "model.width"});
  expect_set_error("modle.width=3", {"unknown section [modle]", "[model]"});
}

TEST(Config, WrongTypesSayWhatWasFound) {
  expect_usage_error("[stream]\n\nmega_batches = \"many\"",
                     {"stream.mega_batches must be an integer, found the string \"many\" (x.toml:3)"});
  expect_usage_error("[stream]\nmega_batches = 3.0", {"must be an integer, found the number 3.0"});
  expect_usage_error("[stream]\nmega_batches = true", {"must be an integer, found true"});
  expect_usage_error("[stream]\nmega_batches = [3]", {"must be an integer, found an array"});
  expect_usage_error("[stream]\nmega_batches = {a = 1}", {"must be an integer, found a table"});
  expect_usage_error("[stream]\nmega_batches = 2020-01-01", {"must be an integer, found a date or time"});
  expect_usage_error("[stream]\nvalidation = \"a\"", {"stream.validation must be a number"});
  expect_usage_error("[stream]\ndataset = 3", {"stream.dataset must be a string, found the integer 3"});
  expect_usage_error("[learner]\nreplay = 1", {"learner.replay must be true or false, found the integer 1"});
  expect_usage_error("[stream]\nmean = 0.5", {"stream.mean must be an array of numbers"});
  expect_usage_error("[stream]\nmean = [\"a\"]", {"stream.mean must be an array of numbers"});
  expect_usage_error("seed = {}", {"seed must be an integer, found a table"});
  expect_usage_error("stream = 3", {"unknown key stream"});
}

TEST(Config, ValuesOutOfRangeNameTheRange) {
  for (const char* set : {"stream.mega_batches=0",
                          "stream.mega_batches=-5",
                          "stream.mega_batches=99999999999",
                          "seed=-1",
                          "seed=9007199254740992",
                          "seed=9223372036854775807",
                          "stream.validation=-0.1",
                          "stream.validation=1.0",
                          "stream.validation=nan",
                          "learner.wait=0",
                          "learner.wait=-1",
                          "model.width=0",
                          "model.width=1000000",
                          "model.experts=17",
                          "train.lr=-1",
                          "train.lr=inf",
                          "train.lr=nan",
                          "train.momentum=1",
                          "train.batch_size=0",
                          "train.max_epochs=0",
                          "train.patience=0",
                          "train.patience_delta=-0.5",
                          "train.checkpoint_seconds=-1",
                          "train.weight_decay=-0.1",
                          "stream.classes=257",
                          "stream.std=[0.0]",
                          "stream.synthetic_train=0"})
    expect_set_error(set, {"is out of range, expected ", std::string("(--set ") + set + ")"});
}

TEST(Config, NamesAreCheckedAndPlannedOnesToldApart) {
  expect_set_error("train.optimizer=sdg",
                   {"train.optimizer = \"sdg\" is not known, expected sgd | adadelta | adam | adamw | rmsprop"});
  expect_set_error("train.optimizer=SGD", {"\"SGD\" is not known", "did you mean sgd?"});
  expect_set_error("stream.dataset=imagenet", {"is not known", "fashion-mnist"});
  expect_set_error("stream.dataset=fashion_mnist", {"is not known", "did you mean fashion-mnist?"});
  expect_set_error("stream.untrained=zero", {"chance | measured"});
  expect_set_error("train.math=tf32", {"is not available; this version has: f32"});
  expect_set_error("learner.wait=atuo", {"learner.wait must be an integer or \"auto\", found the string \"atuo\""});
  expect_set_error("learner.wait=0", {"learner.wait = 0 is out of range"});
  expect_set_error("model.width=auto", {"must be an integer, found the string \"auto\""});
}

TEST(Config, ALearnerMayChooseItsWait) {
  for (const Config& config : {parse_config("learner.wait = \"auto\"", "x"), parse_config("", "x", {"learner.wait=auto"})}) {
    EXPECT_EQ(config.learner.wait, 0);
    EXPECT_NE(write_config(config).find("wait = \"auto\"\n"), std::string::npos);
    EXPECT_TRUE(differences(config, parse_config(write_config(config, true), "written")).empty());
    EXPECT_EQ(wait_name(config.learner.wait), "auto");
  }
  EXPECT_EQ(wait_name(parse_config("learner.wait = 12", "x").learner.wait), "12");
}

TEST(Config, KeysThatContradictEachOther) {
  expect_usage_error("learner.wait = 11\nstream.mega_batches = 10",
                     {"learner.wait = 11", "stream.mega_batches = 10", "expected 1 <= wait <= mega_batches"});
  EXPECT_EQ(parse_config("learner.wait = 10\nstream.mega_batches = 10", "x").learner.wait, 10);
  expect_usage_error("train.momentum = 0.9", {"train.momentum = 0.9 has no effect", "adadelta"});
  expect_usage_error("train.nesterov = true\ntrain.optimizer = \"sgd\"", {"train.nesterov", "momentum > 0"});
  const std::string rmsprop = "train.optimizer = \"rmsprop\"\ntrain.momentum = 0.5\n";
  EXPECT_EQ(parse_config(rmsprop, "x").train.momentum, 0.5);
  expect_usage_error(rmsprop + "train.nesterov = true", {"train.nesterov", "\"sgd\"", "\"rmsprop\" with momentum 0.5"});
  expect_usage_error("stream.mean = [0.1]", {"stream.mean has 1", "stream.std 0"});
  expect_usage_error("stream.dataset = \"idx\"", {"stream.train_images is not set"});
  expect_usage_error("stream.test_labels = \"a\"",
                     {"stream.test_labels = \"a\" does not go with stream.dataset = \"mnist\"", "stream.dataset = idx"});
}

TEST(Config, LanguageModels) {
  const std::vector<std::string> text = {"stream.dataset=text", "model.architecture=switch", "model.experts=4"};
  const auto with = [&](std::vector<std::string> sets) {
    sets.insert(sets.begin(), text.begin(), text.end());
    return parse_config("", "x", sets);
  };
  const Config config = with({});
  EXPECT_TRUE(differences(config, parse_config(write_config(config, true), "written")).empty());
  // The paper's names, Fig. 5.
  EXPECT_EQ(learner_name(config), "SM4");
  EXPECT_EQ(learner_name(with({"model.experts=12"})), "SM12");
  EXPECT_EQ(learner_name(with({"learner.method=ens", "learner.members=2"})), "Ens4@2");
  EXPECT_EQ(learner_name(with({"learner.method=umix"})), "UMix4@4");
  EXPECT_EQ(learner_name(with({"learner.method=gens"})), "gEns4");
  EXPECT_EQ(learner_name(with({"learner.method=gens", "learner.members=2"})), "gEns4@2");
  EXPECT_EQ(learner_name(with({"learner.method=gmoe"})), "gMoE4");
  EXPECT_EQ(learner_name(parse_config("learner.method = \"gmoe\"", "x")), "gMoE");
  EXPECT_EQ(learner_name(parse_config("model.experts = 2", "x")), "SM");
  EXPECT_EQ(learner_name(parse_config("learner.method = \"gens\"", "x")), "gEns");
  // Text goes with switch, and nothing else does.
  expect_set_error("stream.dataset=text", {"model.architecture = \"mlp\" does not go with stream.dataset = \"text\"",
                                           "expected architecture = \"switch\" for \"text\"", "x.toml with --set"});
  expect_set_error("model.architecture=switch",
                   {"model.architecture = \"switch\" does not go with stream.dataset = \"mnist\""});
  for (const Config& trained : {Config{}, unusual(), config}) EXPECT_NO_THROW(check_trainable(trained));
  expect_error(ErrorKind::usage, {"learner.method = \"gmoe\"", "on text by this version", "alma report DIR"},
               [&] { check_trainable(with({"learner.method=gmoe"})); });
}

TEST(Config, AGrowingMixtureStartsWithTwoExperts) {
  EXPECT_EQ(parse_config("learner.method = \"gmoe\"", "x").model.experts, 2);
  EXPECT_EQ(parse_config("learner.method = \"gmoe\"\nmodel.experts = 3", "x").model.experts, 3);
  EXPECT_EQ(parse_config("", "x").model.experts, 1);
  expect_usage_error("learner.method = \"gmoe\"\nmodel.experts = 1",
                     {"model.experts = 1 does not go with learner.method = \"gmoe\"", "expected 2 or more (x.toml)"});
  expect_usage_error("learner.method = \"gmoe\"\nlearner.replay = true\nlearner.from_scratch = true",
                     {"learner.from_scratch = true does not go with learner.method = \"gmoe\""});
  expect_usage_error("learner.method = \"gmoe\"\nlearner.split = \"loses\"",
                     {"learner.split = \"loses\" is not known, expected usage | loss | random"});
  expect_usage_error("learner.method = \"gmoe\"\nlearner.gate = \"hard\"\ntrain.graph = true",
                     {"train.graph = true does not go with learner.gate = \"hard\""});
  EXPECT_EQ(learner_name(parse_config("learner.method = \"gmoe\"\nlearner.gate = \"hard\"", "x")), "gMoE hard");
  expect_usage_error("learner.split = \"loss\"",
                     {"learner.split = \"loss\" does not go with learner.method = \"sm\"", "learner.method = gmoe"});
}

TEST(Config, FireflyGrowsPlainNetworks) {
  const Config config =
      parse_config("learner.method = \"ff\"\nmodel.architecture = \"vgg19\"\nmodel.conv_bias = false", "x");
  EXPECT_FALSE(config.model.conv_bias);
  EXPECT_EQ(learner_name(config), "FF");
  expect_usage_error("learner.method = \"ff\"\nmodel.experts = 2",
                     {"model.experts = 2 does not go with learner.method = \"ff\"", "expected 1 (x.toml)"});
  expect_usage_error("model.conv_bias = false", {"model.conv_bias = false does not go with model.architecture = \"mlp\""});
}

TEST(Config, WhatGoesOnDoesNotStartFromScratch) {
  for (const std::string method : {"gmoe", "ff", "shrink-perturb", "dash"})
    expect_usage_error("learner.method = \"" + method + "\"\nlearner.from_scratch = true",
                       {"learner.from_scratch = true does not go with learner.method = \"" + method + "\"", "(x.toml)"});
}

TEST(Config, ReplayIsWhatAMethodNeedsIt) {
  expect_usage_error("learner.method = \"uniform-replay\"", {"expected learner.replay = true (x.toml)"});
  expect_usage_error("learner.method = \"reservoir\"\nlearner.replay = true",
                     {"does not go with learner.method = \"reservoir\"", "expected replay = false"});
  expect_usage_error("learner.average = \"moving\"", {"learner.average = \"moving\" does not go with", "method = average"});
  EXPECT_EQ(learner_name(parse_config("learner.method = \"reservoir\"\nlearner.memory = 500", "x")), "Reservoir500");
}

TEST(Config, WhatDoesNotGoWithAMethodIsRefused) {
  const auto refused = [](const std::string& text, const std::vector<std::string>& parts) {
    expect_usage_error("[learner]\n" + text, parts);
  };
  refused("members = 0", {"learner.members = 0 is out of range, expected 1 .. 1024"});
  refused("combine = \"vote\"", {"learner.combine = \"vote\" does not go with learner.method = \"sm\"",
                                 "expected \"figures\", or learner.method = ens, umix, gens or boost"});
  refused("method = \"umix\"\ncombine = \"vote\"", {"\"umix\"", "expected figures | sum | mean"});
  refused("method = \"ens\"\ncombine = \"sum\"", {"\"ens\"", "expected figures | probabilities | logits | vote"});
  refused("method = \"gens\"\ncombine = \"mean\"", {"\"gens\"", "expected figures | probabilities"});
  refused("method = \"ens\"\ncombine = \"vote\"\nmembers = 1", {"learner.members = 1", "a vote needs at least 2 models"});
  refused("method = \"umix\"\nbagging = true",
          {"learner.bagging = true does not go with learner.method = \"umix\"", "expected false, or learner.method = ens"});
  refused("method = \"umix\"\nmembers = 1\ngrow_every = 3\ncombine = \"logits\"", {"expected figures | sum | mean"});
  EXPECT_EQ(parse_config("learner.members = 2\nlearner.grow_every = 3", "x").learner.method, "sm")
      << "numbers that have no effect may stay, so that the axes of a sweep can move together";
}

TEST(Config, AGrowingEnsembleGetsOneModelAtATimeUnlessToldOtherwise) {
  EXPECT_EQ(parse_config("learner.method = \"gens\"", "x").learner.members, 1);
  EXPECT_EQ(parse_config("learner.members = 3", "x", {"learner.method=gens"}).learner.members, 3);
  EXPECT_EQ(parse_config("", "x", {"learner.members=4", "learner.method=gens"}).learner.members, 4);
  EXPECT_EQ(parse_config("learner.method = \"ens\"", "x").learner.members, 4);
}

TEST(Config, SyntaxErrorsNameLineAndColumn) {
  expect_usage_error("seed = 1\n[stream\n", {"x.toml:2:", "not valid TOML"});
  expect_usage_error("seed = 1\nseed = 2\n", {"x.toml:2:", "not valid TOML"});
  expect_usage_error("seed = 99999999999999999999", {"x.toml:1:", "not valid TOML"});
  expect_set_error("learner.wait", {"expected section.key=value"});
  expect_set_error("=3", {"expected section.key=value"});
}

TEST(Config, AFileThatCannotBeReadIsWrongUsage) {
  test::TemporaryFolder folder;
  expect_error(ErrorKind::usage, {"cannot read the configuration", "none.toml", "No such file"},
               [&] { load_config(folder / "none.toml"); });
  expect_error(ErrorKind::usage, {"cannot read the configuration", "directory"}, [&] { load_config(folder.path()); });
}

TEST(Config, TheShippedOnesLoad) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ALMA_SOURCE_DIR "/alma/configs")) {
    if (!entry.is_regular_file()) continue;  // of sweeps/ see PaperGrids, of lm/ below
    EXPECT_NO_THROW(load_config(entry.path())) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 5);
  for (const auto& entry : std::filesystem::directory_iterator(ALMA_SOURCE_DIR "/alma/configs/lm"))
    EXPECT_NO_THROW(check_trainable(load_config(entry.path()))) << entry.path();
  const Config figure = load_config(ALMA_SOURCE_DIR "/alma/configs/mnist-sm-h4.toml");
  EXPECT_EQ(figure.stream.mega_batches, 500);
  EXPECT_EQ(figure.model.width, 4);
  EXPECT_EQ(figure.model.experts, 2);
  const Config official = load_config(ALMA_SOURCE_DIR "/alma/configs/mnist-official-defaults.toml");
  EXPECT_EQ(official.train.patience, 25);
  EXPECT_EQ(official.train.patience_delta, 0.001);
}

TEST(Config, KnowsTheDataSetsOfTheCatalogue) {
  std::set<std::string> known;
  for (const DataKind& kind : data_kinds())
    if (kind.input == Input::images) known.insert(kind.name);
  std::set<std::string> listed;
  for (const Entry& entry : list_data_sets())
    if (!entry.text) listed.insert(entry.name);
  EXPECT_EQ(known, listed);
}

}  // namespace
}  // namespace alma
