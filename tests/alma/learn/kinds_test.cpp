#include "alma/learn/kinds.h"

#include <gtest/gtest.h>

#include <array>

#include "alma/config/config.h"
#include "alma/config/config_schema.h"
#include "alma/report/groups.h"
#include "alma/sweep/estimate.h"
#include "alma/sweep/grid.h"
#include "base/error.h"
#include "tests/alma/learn/training.h"

namespace alma::test {
namespace {

// One model more with every update; what it does is sm's work, so that the numbers can be known.
LearnerKind more() {
  LearnerKind kind{{"test-more", "one model more with every update"}};
  kind.keys = {"learner.members", "learner.bagging"};
  kind.check = [](const Config& config, const std::string& where) {
    if (config.learner.members == 13) fail(ErrorKind::usage, "learner.members = 13 is unlucky (", where, ')');
  };
  kind.label = [](const Config& config) { return "More/" + std::to_string(config.learner.members); };
  kind.models = [](const Config& config, std::int64_t updates) { return config.learner.members + updates; };
  kind.members = 2;
  kind.make = [](const LearnerRequest& request) {
    Config single = request.config;
    single.learner.method = "sm";
    return make_learner(single, request.context, request.input);
  };
  return kind;
}

// An mlp of one width, by another name.
ArchitectureKind narrow() {
  ArchitectureKind kind{{"test-narrow", "a network of eight units"}};
  kind.label = [](const Config&) { return std::string("narrow"); };
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    Config mlp = config;
    mlp.model.architecture = "mlp";
    mlp.model.width = 8;
    return architecture_kind(mlp).make(context, mlp, input, init);
  };
  return kind;
}

DataKind few() {
  DataKind kind{{"test-few", "300 images made from a seed"}};
  kind.load = [](const Config& config) {
    Config made = config;
    made.stream.dataset = "synthetic-images";
    made.stream.synthetic_train = 300;
    made.stream.synthetic_test = 100;
    return load_data(made);
  };
  return kind;
}

class Kinds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    add_learner_kind(more());
    add_architecture_kind(narrow());
    add_data_kind(few());
  }
  static Config added() {
    Config config = small_config();
    config.learner.method = "test-more";
    config.learner.members = 2;
    config.model.architecture = "test-narrow";
    config.model.width = 64;
    config.stream.dataset = "test-few";
    config.stream.synthetic_train = Config{}.stream.synthetic_train;
    config.stream.synthetic_test = Config{}.stream.synthetic_test;
    return config;
  }
};

TEST_F(Kinds, ARowIsReadCheckedAndPrinted) {
  const Config config = parse_config(write_config(added(), true), "written");
  EXPECT_TRUE(differences(config, added()).empty());
  EXPECT_NO_THROW(check_trainable(config));
  const std::string docs = write_config({}, true);
  for (const char* line : {"#   test-more: one model more with every update\n",
                           "#   test-narrow: a network of eight units\n", "#   test-few: 300 images made from a seed\n"})
    EXPECT_NE(docs.find(line), std::string::npos) << line << docs;
  EXPECT_EQ(kinds_with("learner.members"), "learner.method = ens, umix, gens or test-more");
  EXPECT_EQ(parse_config("learner.method = \"test-more\"", "x").learner.members, 2) << "the row's default";
  EXPECT_TRUE(parse_config("learner.method = \"test-more\"\nlearner.bagging = true", "x").learner.bagging);
  expect_error(ErrorKind::usage, {"learner.members = 13 is unlucky (x)"},
               [] { parse_config("learner.method = \"test-more\"\nlearner.members = 13", "x"); });
  expect_error(ErrorKind::usage, {"learner.combine = \"vote\" does not go with learner.method = \"test-more\""},
               [] { parse_config("learner.method = \"test-more\"\nlearner.combine = \"vote\"", "x"); });
  expect_error(ErrorKind::usage, {"\"test-mroe\" is not known", "reservoir | test-more", "did you mean test-more?"},
               [] { parse_config("learner.method = \"test-mroe\"", "x"); });
}

TEST_F(Kinds, ARowNamesRunsAndFigures) {
  EXPECT_EQ(learner_name(added()), "More/2");
  EXPECT_EQ(run_name(added()).substr(0, 30), "test-few-more-2-narrow-w1-s0-" + run_name(added()).substr(29, 1));
  RunRecord run;
  run.config = added();
  run.config.stream.mega_batches = 1;
  run.records.resize(1);
  run.records[0].t = 1;
  run.measures = aggregate(run.records, 1);
  const std::array runs{run};
  const std::vector<RunGroup> groups = group_runs(runs);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].label, "More/2 narrow w=1");
  EXPECT_EQ(groups[0].stream, "test-few");
}

TEST_F(Kinds, ARowTellsASweepHowItGrows) {
  Config config = added();
  config.stream.mega_batches = 10;
  Probe probe;
  probe.train_samples = 300;
  probe.parameters = 1000;
  probe.bytes = 1e6;
  EXPECT_NEAR(estimate(config, probe).bytes, 1e6 + 10 * 500 * 4, 1) << "2 models of 500 parameters each, then 12";
}

TEST_F(Kinds, ARowIsTrained) {
  Context context;
  Config single = added();
  single.learner.method = "sm";
  single.model.architecture = "mlp";
  single.model.width = 8;
  const Trained expected = run_to_end(single, context), found = run_to_end(added(), context);
  ASSERT_EQ(found.records.size(), expected.records.size());
  for (std::size_t t = 0; t < found.records.size(); ++t) {
    EXPECT_EQ(found.records[t].error, expected.records[t].error);
    EXPECT_EQ(found.records[t].params, expected.records[t].params);
  }
  EXPECT_EQ(bits(found.tensors), bits(expected.tensors));
  EXPECT_LT(found.records.back().error, found.records.front().error) << "it has learned";
}

TEST_F(Kinds, ANameIsGivenOnce) {
  expect_error(ErrorKind::usage, {"learner.method = \"sm\" exists"}, [] { add_learner_kind({{"sm", "another"}}); });
  expect_error(ErrorKind::usage, {"learner.method = \"ff\" exists"}, [] { add_learner_kind({{"ff", "planned"}}); });
  expect_error(ErrorKind::usage, {"model.architecture", "without a name"}, [] { add_architecture_kind({}); });
  expect_error(ErrorKind::usage, {"stream.dataset = \"mnist\" exists"}, [] { add_data_kind({{"mnist", ""}}); });
}

// Also in a configuration that no file was read for.
TEST_F(Kinds, AnUnknownNameIsAnErrorEverywhere) {
  Context context;
  const InputDescription input = describe_input(load_data(small_config()));
  const auto unknown = [&](std::string Config::Learner::*learner, std::string Config::Model::*model,
                           std::string Config::Stream::*stream, const std::string& key) {
    Config config = small_config();
    if (learner != nullptr) config.learner.*learner = "smm";
    if (model != nullptr) config.model.*model = "smm";
    if (stream != nullptr) config.stream.*stream = "smm";
    const std::vector<std::string> parts = {key + " = \"smm\" is not known", "expected "};
    expect_error(ErrorKind::usage, parts, [&] { check_trainable(config); });
    expect_error(ErrorKind::usage, parts, [&] { make_learner(config, context, input); });
    expect_error(ErrorKind::usage, parts, [&] { load_data(config); });
    expect_error(ErrorKind::usage, parts, [&] { parse_config(write_config(config), "x"); });
    if (stream == nullptr) expect_error(ErrorKind::usage, parts, [&] { run_name(config); });
    if (model == nullptr) expect_error(ErrorKind::usage, parts, [&] { learner_name(config); });
  };
  unknown(&Config::Learner::method, nullptr, nullptr, "learner.method");
  unknown(nullptr, &Config::Model::architecture, nullptr, "model.architecture");
  unknown(nullptr, nullptr, &Config::Stream::dataset, "stream.dataset");
  Config::Train train;
  train.optimizer = "smm";
  expect_error(ErrorKind::usage, {"train.optimizer = \"smm\" is not known"}, [&] { fit_settings(train); });
}

}  // namespace
}  // namespace alma::test
