// The CUDA kernels, executed by the simulator, and every instruction-set level train like the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "alma/learn/evaluate.h"
#include "data/catalogue.h"
#include "engine/ops_loss.h"
#include "kernels/open_backend.h"
#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/data/real_data.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

/// Real images that every tested machine has: MNIST through ALMA_DATA, else Fashion-MNIST of the distribution.
ImageData real_images() {
  for (const char* name : {"mnist", "fashion-mnist"}) {
    if (!unavailable(name).empty()) continue;
    ImageRequest request;
    request.name = name;
    return load_images(request);
  }
  fail(ErrorKind::data, "neither mnist nor fashion-mnist is here; setup.sh installs the latter");
}

class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sim_ = open_simulator();
    if (!sim_) GTEST_SKIP() << no_simulator;
    data_ = real_images();
  }
  std::unique_ptr<Context> sim_;
  ImageData data_;
};

// A learner in the making on one device: the MLP of the paper, h = 16, with as many experts.
struct Trainer {
  Trainer(Context& on, const ImageData& data, int experts = 2)
      : context(on),
        images(upload_images(on, data.train, data.mean, data.std)),
        model(make_mlp(on, {784, 16, 10, experts, 2}, RandomStream(0, "initialisation"))),
        optimizer(named_parameters(*model), AdadeltaRule{}, 1.0) {}
  void step(std::int64_t number, std::int64_t batch) {
    std::vector<std::int32_t> indices(static_cast<std::size_t>(batch));
    for (std::int64_t i = 0; i < batch; ++i)
      indices[static_cast<std::size_t>(i)] = static_cast<std::int32_t>((number * batch + i) * 7 % images.labels.count());
    const Batch part = batch_of_images(images, Tensor::from(context, {batch}, indices));
    softmax_cross_entropy(trained(*model, part.x), part.y).backward();
    optimizer.step();
  }
  Context& context;
  DeviceImages images;
  std::unique_ptr<Module> model;
  Optimizer optimizer;
};

/// Of a Trainer, on the test set.
double test_error(Trainer& trainer, const ImageData& data) {
  const auto test = upload_samples(trainer.context, data.test, data.mean, data.std);
  return evaluate(*trainer.model, *test, all_indices(trainer.context, test->count())).error();
}

// Weights after 20 steps, full batches and ragged ones.
void expect_same_path(Trainer& a, Trainer& b) {
  for (std::int64_t t = 0; t < 20; ++t) {
    a.step(t, t % 2 == 0 ? 128 : 45);
    b.step(t, t % 2 == 0 ? 128 : 45);
  }
  const auto pa = named_parameters(*a.model), pb = named_parameters(*b.model);
  for (std::size_t k = 0; k < pa.size(); ++k) {
    const auto va = pa[k].second.to_vector<float>(), vb = pb[k].second.to_vector<float>();
    float difference = 0, largest = 0;
    for (std::size_t i = 0; i < va.size(); ++i) {
      difference = std::max(difference, std::abs(va[i] - vb[i]));
      largest = std::max(largest, std::abs(vb[i]));
    }
    EXPECT_LE(difference, static_cast<float>(tolerance::devices_after_20_steps) * largest) << pa[k].first;
    testing::Test::RecordProperty(pa[k].first, std::to_string(difference / largest));
  }
}

TEST_F(DeviceTest, TwentyStepsOfTheSimulatorFollowTheCpu) {
  Context cpu("cpu");
  Trainer a(*sim_, data_), b(cpu, data_);
  expect_same_path(a, b);
}

// A mini-batch, three products forward, the loss with its gradient, five products backward that leave the gradients of the
// biases and apply the masks of the ReLUs as well, one update.
TEST_F(DeviceTest, OneStepOfAnMlpIsAtMostTwelveLaunches) {
  const auto launches = simulator_function<std::uint64_t()>("alma_sim_launches");
  Trainer trainer(*sim_, data_, 1);
  for (std::int64_t t = 0; t < 3; ++t) {
    const std::uint64_t before = launches();
    trainer.step(t, t == 2 ? 45 : 128);
    EXPECT_LE(launches() - before, 12u) << "step " << t;
    RecordProperty("launches", static_cast<int>(launches() - before));
  }
}

TEST_F(DeviceTest, TwentyStepsWithFusedGradientsFollowTheCpu) {
  Context cpu("cpu");
  Trainer a(*sim_, data_, 1), b(cpu, data_, 1);
  expect_same_path(a, b);
}

TEST_F(DeviceTest, TwentyStepsFollowTheCpuWhereTheLibraryFusesNoGradients) {
  const auto plain_products_only = simulator_function<void(bool)>("alma_sim_plain_products_only");
  const auto launches = simulator_function<std::uint64_t()>("alma_sim_launches");
  Context again("cuda-sim"), cpu("cpu");
  Trainer a(again, data_, 1), b(cpu, data_, 1);
  plain_products_only(true);
  a.step(0, 128);
  const std::uint64_t before = launches();
  a.step(1, 128);
  EXPECT_GT(launches() - before, 12u) << "every part by itself";
  for (std::int64_t t = 0; t < 2; ++t) b.step(t, 128);
  expect_same_path(a, b);
  plain_products_only(false);
}

// A GPU, where there is one; `make gpu-check` runs these.
class Gpu : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Gpu);
std::vector<std::string> gpus() {
  for (const DeviceStatus& status : list_devices())
    if (status.usable && status.device == "cuda") return {"cuda"};
  return {};
}
INSTANTIATE_TEST_SUITE_P(Gpus, Gpu, testing::ValuesIn(gpus()), [](const auto& device) { return device.param; });

TEST_P(Gpu, TwentyStepsFollowTheCpuAndTheSimulator) {
  const ImageData data = real_images();
  for (const char* other : {"cpu", "cuda-sim"})
    for (const int experts : {1, 2}) {
      SCOPED_TRACE(std::string(other) + ", experts " + std::to_string(experts));
      Context gpu(GetParam()), context(other);
      Trainer a(gpu, data, experts), b(context, data, experts);
      expect_same_path(a, b);
    }
}

TEST_P(Gpu, AShortRunEndsAtTheErrorOfTheCpu) {
  const ImageData data = real_images();
  Context gpu(GetParam()), cpu("cpu");
  Trainer a(gpu, data), b(cpu, data);
  for (std::int64_t t = 0; t < 300; ++t) {
    a.step(t, 128);
    b.step(t, 128);
  }
  EXPECT_NEAR(test_error(a, data), test_error(b, data), tolerance::devices_error);
}

TEST(CpuLevels, TwentyStepsFollowTheGenericLevel) {
  const ImageData data = real_images();
  Context generic("cpu:generic");
  int others = 0;
  for (const DeviceStatus& status : list_devices()) {
    if (!status.usable || !status.device.starts_with("cpu:x86-64")) continue;
    SCOPED_TRACE(status.device);
    ++others;
    Context level(status.device);
    Trainer a(level, data), b(generic, data);
    expect_same_path(a, b);
  }
  RecordProperty("levels", others);  // 0 on a processor that has only the generic one
}

TEST_F(DeviceTest, AShortRunInTheSimulatorEndsAtTheErrorOfTheCpu) {
  Context cpu("cpu");
  Trainer a(*sim_, data_), b(cpu, data_);
  for (std::int64_t t = 0; t < 300; ++t) {
    a.step(t, 128);
    b.step(t, 128);
  }
  const double simulated = test_error(a, data_), expected = test_error(b, data_);
  EXPECT_NEAR(simulated, expected, tolerance::devices_error);
  EXPECT_LT(expected, 0.3) << "300 steps learn something";
}

TEST_F(DeviceTest, TheSameRunInTheSimulatorGivesTheSameBits) {
  Context again("cuda-sim");
  Trainer a(*sim_, data_), b(again, data_);
  for (std::int64_t t = 0; t < 5; ++t) {
    a.step(t, 33);
    b.step(t, 33);
  }
  EXPECT_EQ(bits(named_parameters(*a.model)), bits(named_parameters(*b.model)));
}

}  // namespace
}  // namespace alma::test
