#include <gtest/gtest.h>

#include <algorithm>

#include "data/published.h"
#include "data/verify.h"
#include "tests/data/files.h"
#include "tests/data/real_data.h"

namespace alma::test {
namespace {

std::vector<std::int64_t> class_counts(const ImageSet& set) {
  std::vector<std::int64_t> counts(10);
  for (const std::int32_t label : set.labels) ++counts.at(static_cast<std::size_t>(label));
  return counts;
}

ImageData load(const std::string& name) {
  ImageRequest request;
  request.name = name;
  return load_images(request);
}

void expect_sizes(const ImageData& data) {
  EXPECT_EQ(data.train.count(), 60000);
  EXPECT_EQ(data.test.count(), 10000);
  for (const ImageSet* set : {&data.train, &data.test}) {
    EXPECT_EQ(set->channels, 1);
    EXPECT_EQ(set->height, 28);
    EXPECT_EQ(set->width, 28);
    EXPECT_EQ(set->classes, 10);
    EXPECT_EQ(static_cast<std::int64_t>(set->pixels.size()), set->count() * 784);
  }
}

void expect_verified(const std::string& name) {
  const std::vector<FileCheck> checks = verify(name);
  ASSERT_EQ(checks.size(), 4u);
  const std::int64_t sizes[] = {47040016, 60008, 7840016, 10008};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(checks[i].ok()) << checks[i].path << ": " << checks[i].problem;
    EXPECT_EQ(checks[i].bytes, sizes[i]);
  }
}

// Class counts as published; mean and standard deviation computed by an independent program (six digits).
TEST(RealData, Mnist) {
  if (const std::string reason = unavailable("mnist"); !reason.empty()) GTEST_SKIP() << reason;
  const ImageData data = load("mnist");
  expect_sizes(data);
  EXPECT_EQ(class_counts(data.train),
            (std::vector<std::int64_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
  EXPECT_EQ(class_counts(data.test), (std::vector<std::int64_t>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}));
  EXPECT_EQ(data.mean.at(0), 0.1307f);
  EXPECT_EQ(data.std.at(0), 0.3081f);
  EXPECT_NEAR(channel_statistics(data.train).mean.at(0), 0.130660, 1e-6);
  EXPECT_NEAR(channel_statistics(data.train).std.at(0), 0.308108, 1e-6);
  expect_verified("mnist");
}

TEST(RealData, FashionMnist) {
  if (const std::string reason = unavailable("fashion-mnist"); !reason.empty()) GTEST_SKIP() << reason;
  const ImageData data = load("fashion-mnist");
  expect_sizes(data);
  EXPECT_EQ(class_counts(data.train), (std::vector<std::int64_t>(10, 6000)));
  EXPECT_EQ(class_counts(data.test), (std::vector<std::int64_t>(10, 1000)));
  EXPECT_EQ(data.mean.at(0), 0.2860f);
  EXPECT_EQ(data.std.at(0), 0.3530f);
  EXPECT_NEAR(channel_statistics(data.train).mean.at(0), 0.286041, 1e-6);
  EXPECT_NEAR(channel_statistics(data.train).std.at(0), 0.353024, 1e-6);
  expect_verified("fashion-mnist");
}

TEST(RealData, Cifar10) {
  if (const std::string reason = unavailable("cifar10"); !reason.empty()) GTEST_SKIP() << reason;
  const ImageData data = load("cifar10");
  EXPECT_EQ(data.train.count(), 50000);
  EXPECT_EQ(data.test.count(), 10000);
  EXPECT_EQ(class_counts(data.train), (std::vector<std::int64_t>(10, 5000)));
  EXPECT_EQ(class_counts(data.test), (std::vector<std::int64_t>(10, 1000)));
  EXPECT_EQ(data.mean, (std::vector<float>{0.4914f, 0.4822f, 0.4465f}));
  EXPECT_EQ(data.std, (std::vector<float>{0.2470f, 0.2435f, 0.2616f}));
  const ChannelStatistics found = channel_statistics(data.train);
  const double mean[] = {0.491400, 0.482158, 0.446531}, std[] = {0.247032, 0.243485, 0.261588};
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(found.mean.at(c), mean[c], 1e-6);
    EXPECT_NEAR(found.std.at(c), std[c], 1e-6);
  }
  for (const FileCheck& check : verify("cifar10")) {
    EXPECT_TRUE(check.ok()) << check.path << ": " << check.problem;
    EXPECT_EQ(check.bytes, 30730000);
  }
}

TEST(RealData, Texts) {
  for (const char* name : {"novels", "wikitext2"}) {
    if (const std::string reason = unavailable(name); !reason.empty()) GTEST_SKIP() << reason;
    for (const FileCheck& check : verify(name)) EXPECT_TRUE(check.ok()) << check.path << ": " << check.problem;
    expect_error(ErrorKind::usage, {name, "this is text, not images"}, [&] { load(name); });
  }
}

}  // namespace
}  // namespace alma::test
