// Learning from text: the samples, the measure, and runs from token shards to records.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "alma/learn/evaluate.h"
#include "alma/learn/kinds.h"
#include "alma/learn/token_samples.h"
#include "alma/sweep/estimate.h"
#include "base/files.h"
#include "models/transformer.h"
#include "tests/alma/learn/text_corpus.h"
#include "tests/alma/learn/training.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

class Text : public testing::Test {
 protected:
  std::filesystem::path prefix(const std::string& name = "text") const {
    return std::filesystem::path(folder_.path()) / name;
  }
  Config config(const std::string& name = "text") const { return small_text_config(prefix(name)); }

  TemporaryFolder folder_;
  Context context_{"cpu"};
};

TEST_F(Text, EachTokenOfThePartsIsATargetOnce) {
  const std::vector<Tokens> all = documents(9, 40);
  write_corpus({.prefix = prefix(), .vocabulary = vocabulary()}, all);
  const auto corpus = std::make_shared<const TokenCorpus>(prefix());
  const TokenStream stream(*corpus, {.mega_batches = 3});
  const TokenSamples samples(corpus, {stream[0], stream[1], stream[2]}, 8);
  EXPECT_EQ(samples.classes(), 100);
  EXPECT_EQ(samples.measure(), Measure::perplexity);
  const Batch batch = samples.batch(all_indices(context_, samples.count()), {});
  EXPECT_EQ(batch.x.shape(), (Shape{samples.count(), 8}));
  const auto x = batch.x.to_vector<std::int32_t>(), y = batch.y.to_vector<std::int32_t>();
  std::vector<std::int32_t> found, expected;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] == kNoLabel) continue;
    found.push_back(y[i]);
    if (i % 8 == 0) continue;
    EXPECT_EQ(x[i], y[i - 1]) << "the next input is the target before it";
  }
  for (std::int64_t t = 0; t < 3; ++t)
    for (const std::int32_t document : stream[t].documents) {
      const Tokens& tokens = all[static_cast<std::size_t>(document)];
      expected.insert(expected.end(), tokens.begin(), tokens.end());
      expected.push_back(99);
    }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(batch.ignored, std::ssize(y) - std::ssize(found));
  EXPECT_GT(batch.ignored, 0);
}

// What an evaluation says, against sums over the probabilities of all targets.
TEST_F(Text, TheScoreIsOfTheTargetsAlone) {
  write_chains(prefix(), 3, 21);
  const auto corpus = std::make_shared<const TokenCorpus>(prefix());
  const TokenSamples samples(corpus, {all_documents(*corpus)}, 16);
  Transformer model(context_,
                    {.vocabulary = kWords + 1, .sequence = 16, .width = 8, .layers = 1, .heads = 2, .init_std = 0.5},
                    RandomStream(1, "text"));
  const Score score = evaluate(model, samples, all_indices(context_, samples.count()));
  EXPECT_EQ(score.predictions, 3 * 22);
  const Batch batch = samples.batch(all_indices(context_, samples.count()), {});
  ASSERT_GT(batch.ignored, 0);
  Pass pass;
  const auto p = softmax(dense(model.forward(batch.x, pass))).to_vector<float>();
  const auto y = batch.y.to_vector<std::int32_t>();
  double loss = 0;
  std::int64_t hits = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] == kNoLabel) continue;
    const auto row = p.begin() + static_cast<std::ptrdiff_t>(i) * (kWords + 1);
    loss -= std::log(static_cast<double>(row[y[i]]));
    hits += std::max_element(row, row + kWords + 1) - row == y[i];
  }
  EXPECT_NEAR(score.loss_sum, loss, 1e-4 * loss);
  EXPECT_EQ(score.hits, hits);
  EXPECT_NEAR(score.perplexity(), std::exp(loss / (3 * 22)), 1e-3);
}

// Each token has the same weight, whatever window it is in: the gradients of windows one by one add up to those of all.
TEST_F(Text, MicroBatchesMakeTheSameStep) {
  write_chains(prefix(), 5, 30);
  const auto corpus = std::make_shared<const TokenCorpus>(prefix());
  const TokenSamples samples(corpus, {all_documents(*corpus)}, 16);
  std::vector<std::vector<float>> weights;
  for (const std::int64_t micro_batch : {0, 1, 3}) {
    Transformer model(context_, {.vocabulary = kWords + 1, .sequence = 16, .width = 8, .layers = 2, .heads = 2},
                      RandomStream(1, "text"));
    TrainerSettings settings{.rule = SgdRule{}, .learning_rate = 0.5, .micro_batch = micro_batch};
    Trainer trainer(model, samples, {1}, settings);
    const Tensor losses = Tensor::zeros(context_, {1}, DType::f32);
    trainer.step(all_indices(context_, samples.count()), losses);
    std::vector<float>& all = weights.emplace_back();
    for (const auto& [name, tensor] : named_parameters(model)) {
      const std::vector<float> some = tensor.to_vector<float>();
      all.insert(all.end(), some.begin(), some.end());
    }
    all.push_back(static_cast<float>(losses.view({}).item()));
  }
  for (std::size_t i = 0; i < weights[0].size(); ++i) {
    ASSERT_NEAR(weights[1][i], weights[0][i], 1e-6 + 1e-5 * std::fabs(weights[0][i])) << i;
    ASSERT_NEAR(weights[2][i], weights[0][i], 1e-6 + 1e-5 * std::fabs(weights[0][i])) << i;
  }
}

TEST_F(Text, AModelLearnsWhatThereIsToLearn) {
  write_chains(prefix(), 60, 200);
  write_chains(prefix("test"), 8, 200, 2);
  Config config = this->config();
  config.stream.test_tokens = prefix("test");
  config.train.max_epochs = 6;
  config.model.activation = "gelu";
  config.train.schedule = "linear";
  const Trained trained = run_to_end(config, context_);
  ASSERT_EQ(trained.records.size(), 4u);
  const double best = perplexity_of_chain(), bytes_per_token = 3.0 * 200 / 201;
  for (std::size_t t = 0; t < 4; ++t) {
    const MegaBatchRecord& record = trained.records[t];
    ASSERT_TRUE(record.ppl && record.bits_per_byte);
    EXPECT_NEAR(std::log(*record.ppl), record.loss.value(), 1e-9);
    EXPECT_NEAR(*record.bits_per_byte, std::log2(*record.ppl) / bytes_per_token, 1e-12);
    EXPECT_EQ(record.error, 0);
    EXPECT_LT(*record.ppl, t == 0 ? 32.0 : *trained.records[t - 1].ppl * 1.02);
  }
  EXPECT_LT(*trained.records[3].ppl, 1.25 * best);  // the ends of documents cannot be known
  EXPECT_GT(*trained.records[3].ppl, 0.97 * best) << "better than is possible";
}

TEST_F(Text, ThePartsDoNotDependOnHowTheyAreLearned) {
  write_chains(prefix(), 40, 50);
  Config config = this->config();
  const Task task = load_task(config);
  const auto corpus = std::make_shared<const TokenCorpus>(prefix());
  const TokenStream stream(*corpus, {.mega_batches = 4, .validation = 0.1, .test = 0.1, .seed = 432});
  std::vector<std::int32_t> all;
  for (std::int64_t t = 0; t < 4; ++t) {
    EXPECT_EQ(std::ssize(task.stream[t].train), (stream[t].tokens + 15) / 16);
    for (const auto* part : {&task.stream[t].train, &task.stream[t].validation})
      all.insert(all.end(), part->begin(), part->end());
  }
  std::ranges::sort(all);
  std::vector<std::int32_t> every(static_cast<std::size_t>(task.train(context_)->count()));
  std::iota(every.begin(), every.end(), 0);
  EXPECT_EQ(all, every) << "each window belongs to one mega-batch";
  EXPECT_EQ(task.test(context_)->count(), (stream.test().tokens + 15) / 16);
  EXPECT_NEAR(task.bytes_per_token, 3.0 * 50 / 51, 1e-12);
}

TEST_F(Text, LearnersOfText) {
  write_chains(prefix(), 30, 60);
  for (const LearnerKind& kind : learner_kinds()) {
    SCOPED_TRACE(kind.name);
    Config config = this->config();
    config.learner = {.method = kind.name, .members = 2, .memory = 20};
    config.learner.replay = kind.name == "uniform-replay";
    if (!kind.of_text) {
      expect_error(ErrorKind::usage, {"learner.method = \"" + kind.name + "\"", "on text by this version", "sm | ens"},
                   [&] { check_trainable(config); });
      continue;
    }
    const Trained one = run_to_end(config, context_);
    EXPECT_LT(*one.records.back().ppl, 25) << "chance is 32";
    Context two("cpu", 2);
    EXPECT_EQ(bits(run_to_end(config, two).tensors), bits(one.tensors)) << "on two threads";
  }
}

// An optimizer that goes on over two updates does what one does over a single one, if these have the same samples in the
// same order: here one sample each.
TEST_F(Text, AnOptimizerMayGoOnFromUpdateToUpdate) {
  write_chains(prefix(), 2, 15);  // of one window each
  Config config = this->config();
  config.stream.test_tokens = config.stream.tokens;
  config.stream.validation = 0;
  config.stream.mega_batches = 2;
  config.train.batch_size = 1;
  config.train.max_steps = 3;
  config.train.schedule = "cosine";
  config.train.warm_up = 2;
  config.train.restart = false;
  const Task task = load_task(config);
  const auto samples = task.train(context_);
  ASSERT_EQ(samples->count(), 2);
  const Trained trained = run_to_end(config, context_);

  const auto model = make_model(config, task.input, context_, "initialisation", 0);
  FitSettings settings = fit_settings(config.train);
  settings.rate_factor = [&](std::int64_t step) { return rate_factor(settings.schedule, step, 6); };
  Trainer trainer(*model, *samples, {1}, settings);
  const Tensor losses = Tensor::zeros(context_, {1}, DType::f32);
  for (std::int32_t step = 0; step < 6; ++step) trainer.step(Tensor::from(context_, {1}, std::vector{step / 3}), losses);
  for (const auto& [name, tensor] : named_parameters(*model)) {
    const auto found = std::ranges::find(trained.tensors, "member.0.model." + name, &NamedTensor::first);
    ASSERT_NE(found, trained.tensors.end()) << name;
    EXPECT_EQ(found->second.to_vector<float>(), tensor.to_vector<float>()) << name;
  }
  config.train.restart = true;
  EXPECT_NE(bits(run_to_end(config, context_).tensors), bits(trained.tensors));
}

TEST_F(Text, TheSimulatedGpuFollowsTheCpu) {
  const auto gpu = open_simulator();
  if (gpu == nullptr) GTEST_SKIP() << no_simulator;
  write_chains(prefix(), 12, 40);
  Config config = this->config();
  config.train.max_epochs = 1;
  const Trained there = run_to_end(config, *gpu), here = run_to_end(config, context_);
  for (std::size_t t = 0; t < 4; ++t)
    EXPECT_NEAR(*there.records[t].ppl, *here.records[t].ppl, 1e-3 * *here.records[t].ppl) << "t = " << t + 1;
}

TEST_F(Text, ASweepKnowsItsCost) {
  write_chains(prefix(), 30, 60);
  const Probe found = probe(config(), "cpu", 1);
  EXPECT_GT(found.seconds_to_train, 0);
  // Per token 12 L d^2 without the experts' share, which one expert has, the router, the scores and the tied output layer.
  const Count tokens = 16, d = 16;
  EXPECT_EQ(found.macs_per_sample, tokens * (2 * 12 * d * d + 2 * d + 32 * d) + 2 * 2 * tokens * tokens * d);
}

TEST_F(Text, WhatDoesNotFitIsSaid) {
  write_chains(prefix(), 10, 40);
  const auto refused = [&](ErrorKind kind, const std::vector<std::string>& parts, const auto& change) {
    Config config = this->config();
    change(config);
    expect_error(kind, parts, [&] {
      parse_config(write_config(config), "x");
      load_task(config);
    });
  };
  refused(ErrorKind::usage, {"stream.tokens is not set", "alma tokenize"}, [](Config& c) { c.stream.tokens = ""; });
  refused(ErrorKind::usage, {"stream.test = 0", "stream.test_tokens"}, [](Config& c) { c.stream.test = 0; });
  refused(ErrorKind::usage, {"stream.mega_batches = 9", "1 .. 8"}, [](Config& c) { c.stream.mega_batches = 9; });
  refused(ErrorKind::usage, {"model.heads = 3", "model.width = 16"}, [](Config& c) { c.model.heads = 3; });
  refused(ErrorKind::usage, {"train.restart = false", "learner.from_scratch"}, [](Config& c) {
    c.train.restart = false;
    c.learner.from_scratch = true;
  });
  refused(ErrorKind::usage, {"train.restart = false", "train.max_steps"}, [](Config& c) {
    c.train.restart = false;
    c.train.schedule = "linear";
  });
  refused(ErrorKind::usage, {"train.restart = false", "adds models"}, [](Config& c) {
    c.train.restart = false;
    c.learner.method = "gens";
    c.learner.members = 1;
  });
  refused(ErrorKind::usage, {"train.graph", "text"}, [](Config& c) { c.train.graph = true; });
  refused(ErrorKind::usage, {"learner.wait = \"auto\"", "perplexity"}, [](Config& c) { c.learner.wait = 0; });
  refused(ErrorKind::data, {"nothing-00000.json"}, [&](Config& c) { c.stream.tokens = prefix("nothing"); });
  TokenVocabulary other = vocabulary(kWords + 1);
  other.sha256[0] = 'b';
  write_corpus({.prefix = prefix("other"), .vocabulary = other}, documents(3, 10, kWords + 1));
  refused(ErrorKind::data, {"other-00000.json", "another vocabulary"},
          [&](Config& c) { c.stream.test_tokens = prefix("other"); });
  // One changed token: its number is in the vocabulary, but not what was written.
  std::string bin = read_text(prefix().string() + "-00000.bin").value();
  bin[0] = static_cast<char>(bin[0] == 0 ? 1 : 0);
  write_atomically(prefix().string() + "-00000.bin", bin);
  refused(ErrorKind::data, {"text-00000", "SHA-256"}, [](Config&) {});
}

}  // namespace
}  // namespace alma::test
