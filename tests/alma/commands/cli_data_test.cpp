// Data that do not fit a model are named before training, with exit code 3 (the data) or 2 (what was asked of them), never
// in a message of the engine.
#include <gtest/gtest.h>

#include <map>

#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

/// Four IDX files of 40 images each and their labels 0, 1, 2, 0, ...; a test replaces some of them.
class CliData : public testing::Test {
 protected:
  CliData() {
    for (const char* part : {"train", "test"}) {
      files_[part + std::string("_images")] = images({40, 8, 8});
      files_[part + std::string("_labels")] = labels(40, 3);
    }
  }
  static Bytes images(const std::vector<std::uint32_t>& sizes, std::uint8_t type = 8) {
    std::size_t bytes = type == 0x0d ? 4 : 1;
    for (const std::uint32_t size : sizes) bytes *= size;
    return idx_file(sizes, sample_bytes(bytes), type);
  }
  static Bytes labels(std::uint32_t count, int classes) {
    Bytes all;
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(static_cast<std::uint8_t>(static_cast<int>(i) % classes));
    return idx_file({count}, all);
  }
  Outcome run(std::vector<std::string> sets = {}) {
    std::vector<std::string> extra = {"--out", "run", "--set", "stream.dataset=idx"};
    for (const auto& [name, content] : files_)
      for (const std::string& word : {std::string("--set"), "stream." + name + "=" + folder_.write(name, content)})
        extra.push_back(word);
    for (const std::string& set : sets)
      for (const std::string& word : {std::string("--set"), set}) extra.push_back(word);
    return run_alma(folder_.path(), small_run(folder_.path(), extra));
  }
  void expect_refused(int code, const std::vector<std::string>& parts, const std::vector<std::string>& sets = {}) {
    const Outcome outcome = run(sets);
    expect_failure(outcome, code, parts);
    EXPECT_NE(outcome.err.substr(0, 8), "error: [") << "a message of the engine: " << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  }

  TemporaryFolder folder_;
  std::map<std::string, Bytes> files_;
};

TEST_F(CliData, WhatFitsIsTrained) {
  EXPECT_EQ(run().code, 0);
  std::filesystem::remove_all(folder_ / "run");
  for (const char* name : {"train_images", "test_images"}) files_[name] = images({40, 2, 8, 8});
  const Outcome two_channels = run();
  EXPECT_EQ(two_channels.code, 0) << two_channels.err;
}

TEST_F(CliData, ChannelsThatStandLast) {
  for (const char* name : {"train_images", "test_images"}) files_[name] = images({40, 8, 8, 3});
  expect_refused(3, {folder_ / "train_images", "40 x 8 x 8 x 3", "stand last"});
}

TEST_F(CliData, TooManyChannels) {
  for (const char* name : {"train_images", "test_images"}) files_[name] = images({40, 5, 8, 8});
  expect_refused(3, {folder_ / "train_images", "5 channels", "at most 4"});
}

TEST_F(CliData, ElementsThatAreNoBytes) {
  files_["train_images"] = images({40, 8, 8}, 0x0d);
  expect_refused(3, {folder_ / "train_images", "f32", "expected u8"});
}

TEST_F(CliData, OtherShapesOfTestImages) {
  files_["test_images"] = images({40, 8, 9});
  expect_refused(3, {folder_ / "test_images", "1 x 8 x 9", "1 x 8 x 8"});
}

TEST_F(CliData, CountsThatDiffer) {
  files_["train_labels"] = labels(39, 3);
  expect_refused(3, {folder_ / "train_labels", "39 labels for the 40 images"});
}

TEST_F(CliData, LabelsBeyondTheClasses) {
  expect_refused(3, {folder_ / "train_labels", "label 2", "below 2"}, {"stream.classes=2"});
  files_["test_labels"] = labels(40, 4);
  expect_refused(3, {folder_ / "test_labels", "label 3", "below 3"});
}

TEST_F(CliData, NoImages) {
  files_["test_images"] = images({0, 8, 8});
  expect_refused(3, {folder_ / "test_images", "0 images"});
}

TEST_F(CliData, PixelsThatAreAllTheSame) {
  files_["train_images"] = idx_file({40, 8, 8}, Bytes(40 * 64, 7));
  expect_refused(3, {"all pixels of channel 0 are the same", "stream.mean"});
}

TEST_F(CliData, ModelsAndNumbersForOtherImages) {
  expect_refused(2, {"vgg19", "32 x 32", "1 x 8 x 8"}, {"model.architecture=vgg19"});
  expect_refused(2, {"stream.mean has 3", "1 channels"}, {"stream.mean=[0.5,0.5,0.5]", "stream.std=[1.0,1.0,1.0]"});
  expect_refused(2, {"stream.std"}, {"stream.mean=[0.5]", "stream.std=[0.0]"});
  expect_refused(2, {"mega_batches"}, {"stream.mega_batches=41"});
}

TEST_F(CliData, ImagesForAnotherModelAreNotPredicted) {
  ASSERT_EQ(run().code, 0);
  folder_.write("other", images({4, 8, 9}));
  expect_failure(run_alma(folder_.path(), {"predict", "run", "other"}), 3, {"other", "1 x 8 x 9", "1 x 8 x 8"});
  folder_.write("last", images({4, 8, 8, 3}));
  expect_failure(run_alma(folder_.path(), {"predict", "run", "last"}), 3, {"last", "stand last"});
  folder_.write("test_labels", labels(40, 4));  // the model knows three classes
  expect_failure(run_alma(folder_.path(), {"eval", "run"}), 3, {"test_labels", "label 3"});
}

}  // namespace
}  // namespace alma::test
