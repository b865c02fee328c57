#include "engine/captured.h"

#include <gtest/gtest.h>

#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

class CapturedInTheSimulator : public ::testing::Test {
 protected:
  void SetUp() override {
    context_ = open_simulator();
    if (!context_) GTEST_SKIP() << no_simulator;
  }
  std::string error_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  /// What capture() of `work` throws; the context still works afterwards.
  void expect_refused(const std::function<void()>& work, const std::string& text) {
    const std::string error = error_of([&] { context_->backend().capture(work); });
    EXPECT_NE(error.find(text), std::string::npos) << error;
    EXPECT_EQ(Tensor::from(*context_, {2}, std::vector<float>{1, 2}).to_vector<float>(), (std::vector<float>{1, 2}));
  }

  std::unique_ptr<Context> context_;
};

TEST_F(CapturedInTheSimulator, ReplaysOnWhatTheTensorsHoldNow) {
  NoGrad off;
  const Tensor x = Tensor::zeros(*context_, {3}, DType::f32), y = Tensor::zeros(*context_, {3}, DType::f32);
  int calls = 0;
  Cost first;
  {
    Captured captured(*context_);
    for (int step = 0; step < 6; ++step) {
      x.fill(step);
      const CostScope scope(*context_);
      captured.run([&] {
        ++calls;
        y.copy_from(x * x + x);
      });
      if (step == 0) first = scope.cost();
      EXPECT_TRUE(scope.cost().flops == first.flops && scope.cost().bytes == first.bytes) << step;
      const auto value = static_cast<float>(step * step + step);
      EXPECT_EQ(y.to_vector<float>(), std::vector<float>(3, value)) << step;
      const Tensor other = Tensor::zeros(*context_, {3}, DType::f32);  // gets no memory of the graph
    }
    EXPECT_EQ(calls, 2) << "done once, captured once";
  }
  EXPECT_TRUE(first.flops > 0);
  const std::size_t cached = context_->allocator().stats().cached;
  context_->allocator().trim();
  EXPECT_GT(cached, 0u);
  EXPECT_EQ(context_->allocator().stats().cached, 0u) << "the graph's memory is everybody's again";
}

TEST_F(CapturedInTheSimulator, ItsMemoryIsNobodyElses) {
  NoGrad off;
  const Tensor x = Tensor::zeros(*context_, {5}, DType::f32), y = Tensor::zeros(*context_, {5}, DType::f32);
  Captured captured(*context_);
  const auto work = [&] { y.copy_from(x + x); };
  for (int step = 0; step < 2; ++step) captured.run(work);
  std::vector<Tensor> others;
  for (int i = 0; i < 10; ++i) others.push_back(Tensor::zeros(*context_, {5}, DType::f32));
  context_->allocator().trim();
  x.fill(4);
  captured.run(work);
  EXPECT_EQ(y.to_vector<float>(), std::vector<float>(5, 8));
  for (const Tensor& other : others) EXPECT_EQ(other.to_vector<float>(), std::vector<float>(5, 0));
}

TEST_F(CapturedInTheSimulator, TensorsThatOutliveTheWorkAreAnError) {
  NoGrad off;
  const Tensor x = Tensor::zeros(*context_, {5}, DType::f32);
  Tensor kept;
  {
    Captured captured(*context_);
    EXPECT_NE(error_of([&] { captured.run([&] { kept = x + x; }); }).find("1 tensors that the work has made outlive it"),
              std::string::npos);
  }
  EXPECT_EQ(kept.to_vector<float>(), std::vector<float>(5, 0)) << "the tensor is whole all the same";
}

TEST_F(CapturedInTheSimulator, OtherMemoryThanBeforeIsAnError) {
  NoGrad off;
  const Tensor x = Tensor::zeros(*context_, {5}, DType::f32);
  Captured captured(*context_);
  captured.run([&] { x + x; });
  const std::string error = error_of([&] { captured.run([&] { Tensor::empty(*context_, {100'000}, DType::f32); }); });
  EXPECT_NE(error.find("captured work asks for other memory than it did before: 400000 bytes"), std::string::npos) << error;
}

TEST_F(CapturedInTheSimulator, CapturesRefuseWhatAReplayCannotDo) {
  Backend& backend = context_->backend();
  const Tensor x = Tensor::zeros(*context_, {4}, DType::f32);
  float host[4] = {};
  expect_refused([&] { backend.upload(host, x.out().data, 16); }, "[upload] cannot be part of a graph");
  expect_refused([&] { backend.download(x.in().data, host, 16); }, "[download] cannot be part of a graph");
  expect_refused([&] { backend.synchronize(); }, "[synchronize] cannot be part of a graph");
  expect_refused([&] { backend.allocate(16); }, "[allocate] cannot be part of a graph");
  expect_refused([&] { backend.capture([] {}); }, "[capture] cannot be part of a graph");
  expect_refused([] { fail("of the work"); }, "of the work");
  void* memory = backend.allocate(16);
  expect_refused([&] { backend.deallocate(memory); }, "previous error during capture");
  backend.deallocate(memory);
}

// The convolution's workspace makes the backend's scratch memory grow; the first graph was captured with the old one.
TEST_F(CapturedInTheSimulator, VendorCallsReplayAndScratchMemoryOfAGraphStays) {
  Backend& backend = context_->backend();
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(*context_, shape, DType::f32); };
  const Tensor x = zeros({4000, 8}), sums = zeros({1, 8}), a = zeros({3, 4}), b = zeros({5, 4}), product = zeros({3, 5});
  const Tensor images = zeros({1, 2, 5, 5}), filters = zeros({3, 2, 3, 3}), y = zeros({1, 3, 3, 3});
  const auto first = [&] {
    backend.reduce_sum(x.in(), sums.out());
    backend.matmul(a.in(), false, b.in(), true, product.out(), {}, Math::f32);
  };
  const auto second = [&] { backend.conv2d(images.in(), filters.in(), {}, {}, y.out(), Math::f32); };
  first();
  const std::unique_ptr<Graph> early = backend.capture(first);
  second();
  const std::unique_ptr<Graph> late = backend.capture(second);
  for (const float value : {1.0f, 2.0f}) {
    for (const Tensor& tensor : {x, a, b, images, filters}) tensor.fill(value);
    early->replay();
    late->replay();
    EXPECT_EQ(sums.to_vector<float>(), std::vector<float>(8, 4000 * value));
    EXPECT_EQ(product.to_vector<float>(), std::vector<float>(15, 4 * value * value));
    EXPECT_EQ(y.to_vector<float>(), std::vector<float>(27, 18 * value * value));
  }
}

TEST(Captured, TheCpuHasNoGraphs) {
  Context cpu;
  EXPECT_FALSE(cpu.backend().has_graphs());
  EXPECT_THROW(cpu.backend().capture([] {}), Error);
}

}  // namespace
}  // namespace alma::test
