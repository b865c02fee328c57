#include "data/catalogue.h"

#include <algorithm>

#include "data/published.h"
#include "data/verify.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

/// A folder for ALMA_DATA and an empty cache. fashion-mnist may still be found among the system's folders.
class Catalogue : public testing::Test {
 protected:
  static constexpr std::uint32_t kTrain = 5, kTest = 3, kSide = 28;

  static Bytes images(std::uint32_t count, std::uint32_t side = kSide) {
    return idx_file({count, side, side}, sample_bytes(std::size_t{count} * side * side));
  }
  void write_mnist(const std::string& place) const {
    folder_.write(place + "/train-images-idx3-ubyte.gz", gzip(images(kTrain)));
    folder_.write(place + "/train-labels-idx1-ubyte", idx_file({kTrain}, {0, 1, 2, 3, 9}));
    folder_.write(place + "/t10k-images-idx3-ubyte.xz", xz(images(kTest)));
    folder_.write(place + "/t10k-labels-idx1-ubyte", idx_file({kTest}, {9, 8, 7}));
  }
  ImageRequest own_files() const {
    ImageRequest request;
    request.name = "idx";
    request.train_images = folder_.write("ti", idx_file({3, 2, 1, 2}, {0, 0, 255, 51, 0, 0, 255, 51, 0, 0, 255, 51}));
    request.train_labels = folder_.write("tl", idx_file({3}, {0, 1, 2}));
    request.test_images = folder_.write("ei", idx_file({1, 2, 1, 2}, {1, 2, 3, 4}));
    request.test_labels = folder_.write("el", idx_file({1}, {2}));
    request.mean = {0.5f, 0.25f};
    request.std = {1.0f, 2.0f};
    return request;
  }
  static Entry entry(const std::string& name) {
    for (const Entry& e : list_data_sets())
      if (e.name == name) return e;
    ADD_FAILURE() << name << " is not listed";
    return {};
  }

  TemporaryFolder folder_;
  ScopedVariable data_{"ALMA_DATA", folder_.path()};
  ScopedVariable cache_{"XDG_CACHE_HOME", folder_ / "cache"};
};

ImageRequest named(const std::string& name) {
  ImageRequest request;
  request.name = name;
  return request;
}

TEST_F(Catalogue, LoadsAPublishedSetFromMixedPackings) {
  write_mnist("mnist");
  const ImageData data = load_images(named("mnist"));
  EXPECT_EQ(data.train.name, "mnist train");
  EXPECT_EQ(data.train.count(), 5);
  EXPECT_EQ(data.test.count(), 3);
  EXPECT_EQ(data.test.labels, (std::vector<std::int32_t>{9, 8, 7}));
  EXPECT_EQ(data.train.classes, 10);
  EXPECT_EQ(data.train.pixels, sample_bytes(5 * 28 * 28));
  EXPECT_EQ(data.mean, (std::vector<float>{0.1307f}));  // of the set, not of these few pixels
  EXPECT_EQ(data.std, (std::vector<float>{0.3081f}));
}

TEST_F(Catalogue, AMissingSetSaysWhereItWasSoughtAndHowToGetIt) {
  expect_error(ErrorKind::data,
               {"mnist: not found", folder_.path(), folder_ / "cache/alma", "(no such folder)", "/usr/share/datasets",
                "train-images-idx3-ubyte", "alma data fetch mnist", "ALMA_DATA"},
               [] { load_images(named("mnist")); });
  write_mnist("mnist");
  std::remove((folder_ / "mnist/t10k-labels-idx1-ubyte").c_str());
  expect_error(ErrorKind::data, {"mnist: incomplete", folder_ / "mnist", "lacks t10k-labels-idx1-ubyte"},
               [] { load_images(named("mnist")); });
}

TEST_F(Catalogue, PublishedSetsMustHaveTheirShapeAndLabels) {
  write_mnist("mnist");
  const std::string small = folder_.write("mnist/train-images-idx3-ubyte", images(kTrain, 27));
  expect_error(ErrorKind::data, {small, "1 x 27 x 27", "1 x 28 x 28"}, [] { load_images(named("mnist")); });
  folder_.write("mnist/train-images-idx3-ubyte", images(kTrain));
  const std::string wide = folder_.write("mnist/t10k-images-idx3-ubyte", images(kTest, 32));
  expect_error(ErrorKind::data, {wide, "1 x 32 x 32", "1 x 28 x 28"}, [] { load_images(named("mnist")); });
  folder_.write("mnist/t10k-images-idx3-ubyte", images(kTest));
  const std::string labels = folder_.write("mnist/t10k-labels-idx1-ubyte", idx_file({kTest}, {0, 10, 0}));
  expect_error(ErrorKind::data, {labels, "label 10 at position 1"}, [] { load_images(named("mnist")); });
}

TEST_F(Catalogue, OwnFilesWithAndWithoutStatistics) {
  ImageRequest request = own_files();
  const ImageData given = load_images(request);
  EXPECT_EQ(given.train.channels, 2);
  EXPECT_EQ(given.train.classes, 3);
  EXPECT_EQ(given.test.classes, 3);
  EXPECT_EQ(given.mean, request.mean);
  EXPECT_EQ(given.std, request.std);

  request.train_images = folder_.write("ti", idx_file({3, 2, 1, 2}, {0, 255, 0, 102, 0, 255, 0, 102, 0, 255, 0, 102}));
  request.mean = request.std = {};
  const ImageData computed = load_images(request);
  EXPECT_EQ(computed.mean, (std::vector<float>{0.5f, 0.2f}));
  EXPECT_EQ(computed.std, (std::vector<float>{0.5f, 0.2f}));
}

TEST_F(Catalogue, OwnFilesThatDoNotFit) {
  ImageRequest request = own_files();
  request.mean = request.std = {};
  expect_error(ErrorKind::data, {"channel 0", "are the same", "stream.std"}, [&] { load_images(request); });

  request = own_files();
  request.test_labels = "";
  expect_error(ErrorKind::usage, {"stream.test_labels is not set"}, [&] { load_images(request); });

  request = own_files();
  request.std = {};
  expect_error(ErrorKind::usage, {"stream.mean and stream.std"}, [&] { load_images(request); });

  request = own_files();
  request.mean = {0.5f};
  expect_error(ErrorKind::usage, {"stream.mean has 1", "2 channels"}, [&] { load_images(request); });

  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    request = own_files();
    request.std[1] = bad;
    expect_error(ErrorKind::usage, {"channel 1", "std > 0"}, [&] { load_images(request); });
  }

  request = own_files();
  folder_.write("el", idx_file({1}, {3}));  // a class that training does not have
  expect_error(ErrorKind::data, {request.test_labels, "label 3", "below 3"}, [&] { load_images(request); });

  request = own_files();
  folder_.write("ei", idx_file({1, 1, 2, 2}, {1, 2, 3, 4}));
  expect_error(ErrorKind::data, {request.test_images, "1 x 2 x 2", "2 x 1 x 2"}, [&] { load_images(request); });

  for (const int classes : {-1, 257}) {
    request = own_files();
    request.classes = classes;
    expect_error(ErrorKind::usage, {"stream.classes"}, [&] { load_images(request); });
  }
}

TEST_F(Catalogue, UnknownNames) {
  const std::vector<std::string> parts = {"stream.dataset = \"mnst\"", "mnist", "fashion-mnist", "idx", "synthetic-images"};
  expect_error(ErrorKind::usage, parts, [] { load_images(named("mnst")); });
  expect_error(ErrorKind::usage, {"mnst", "mnist, fashion-mnist, cifar10"}, [] { verify("mnst"); });
  expect_error(ErrorKind::usage, {"idx", "no data set with published files"}, [] { verify("idx"); });
}

TEST_F(Catalogue, ListsWhatIsFound) {
  EXPECT_FALSE(entry("mnist").found);
  EXPECT_NE(entry("mnist").how.find("alma data fetch mnist"), std::string::npos);
  EXPECT_NE(entry("mnist").how.find("ALMA_DATA"), std::string::npos);
  EXPECT_TRUE(entry("synthetic-images").found);
  EXPECT_TRUE(entry("idx").found);
  write_mnist("mnist");
  EXPECT_TRUE(entry("mnist").found);
  EXPECT_EQ(entry("mnist").where, folder_ / "mnist");
  EXPECT_EQ(entry("mnist").how, "");
}

TEST_F(Catalogue, ACifarArchiveIsCheckedAsItIsRead) {
  // Not the published content: refused, with the archive's name, and verify says so of every file.
  const std::string path = folder_.write("cifar-10-binary.tar.gz", gzip(sample_bytes(5000)));
  EXPECT_TRUE(entry("cifar10").found);
  EXPECT_EQ(entry("cifar10").where, path);
  expect_error(ErrorKind::data, {path, "not a tar archive, or damaged"}, [] { load_images(named("cifar10")); });
  const std::vector<FileCheck> checks = verify("cifar10");
  ASSERT_EQ(checks.size(), 6u);
  for (const FileCheck& check : checks) EXPECT_FALSE(check.ok());
  std::remove(path.c_str());
  expect_error(ErrorKind::data, {"cifar10: not found", "data_batch_1.bin", "cifar-10-binary.tar.gz itself"},
               [] { load_images(named("cifar10")); });
}

TEST_F(Catalogue, VerifyReportsEveryFile) {
  const auto problems = [] {
    std::vector<std::string> all;
    for (const FileCheck& check : verify("mnist")) all.push_back(check.problem);
    return all;
  };
  EXPECT_EQ(problems(), (std::vector<std::string>(4, "missing")));

  write_mnist("mnist");
  folder_.write("mnist/train-images-idx3-ubyte.gz", first_bytes(gzip(images(kTrain)), 100));
  std::remove((folder_ / "mnist/t10k-labels-idx1-ubyte").c_str());
  const std::vector<FileCheck> checks = verify("mnist");
  ASSERT_EQ(checks.size(), 4u);
  EXPECT_NE(checks[0].problem.find("truncated"), std::string::npos);
  EXPECT_EQ(checks[0].sha256, "");
  EXPECT_EQ(checks[1].problem, "the content differs from the published one");
  EXPECT_EQ(checks[1].bytes, 13);
  EXPECT_EQ(checks[1].path, folder_ / "mnist/train-labels-idx1-ubyte");
  EXPECT_EQ(checks[2].bytes, 16 + 3 * 28 * 28);  // unpacked
  EXPECT_EQ(checks[3].problem, "missing");
  EXPECT_TRUE(std::none_of(checks.begin(), checks.end(), [](const FileCheck& check) { return check.ok(); }));
}

TEST_F(Catalogue, SyntheticImagesAreNormalisedByTheirOwnPixels) {
  ImageRequest request = named("synthetic-images");
  request.synthetic.train = 50;
  request.synthetic.test = 10;
  const ImageData data = load_images(request);
  EXPECT_EQ(data.mean, channel_statistics(data.train).mean);
  EXPECT_EQ(data.std, channel_statistics(data.train).std);
  request.mean = {0.0f};
  request.std = {1.0f};
  EXPECT_EQ(load_images(request).mean, request.mean);
}

}  // namespace
}  // namespace alma::test
