#include "engine/tensor.h"

#include "engine/nn.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Tensor, HostValuesComeBack) {
  const std::vector<float> values{1.5f, -2, 3};
  EXPECT_EQ(Tensor::from(cpu(), {3}, values).to_vector<float>(), values);
  EXPECT_EQ(Tensor::full(cpu(), {2, 2}, DType::i32, 7).to_vector<std::int32_t>(), (std::vector<std::int32_t>{7, 7, 7, 7}));
  EXPECT_EQ(Tensor::full(cpu(), {}, DType::u8, 200).item(), 200);
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  const Tensor x = Tensor::zeros(cpu(), {2}, DType::f64), alias = x, copy = x.clone();
  x.fill(5);
  EXPECT_EQ(alias.to_vector<double>()[0], 5);
  EXPECT_EQ(copy.to_vector<double>()[0], 0);
}

// Told by what the backend is asked for; memory of one context is not the host's business.
TEST(Tensor, AModelIsClonedWithoutTheHostWithinAContext) {
  Profiler profiler;
  Context here("cpu", 1, {&profiler, "here"}), there("cpu", 1, {&profiler, "there"});
  RandomStream init(1, "test");
  Linear model(here, 5, 3, true, init);
  const auto calls = [&](std::size_t lane, std::string_view primitive) {
    const auto primitives = profiler.snapshot().lanes.at(lane).primitives;
    const auto found = primitives.find(primitive);
    return found == primitives.end() ? 0 : found->second.calls;
  };
  const auto uploads = calls(0, "upload");
  const auto within = model.clone(here);
  EXPECT_EQ(calls(0, "upload"), uploads);
  EXPECT_EQ(calls(0, "download"), 0);
  EXPECT_EQ(calls(0, "copy"), 2) << "weight and bias";
  const auto across = model.clone(there);
  EXPECT_EQ(calls(0, "download"), 2);
  EXPECT_EQ(calls(1, "upload"), 2);
  for (const auto& copy : {within.get(), across.get()}) {
    const auto state = named_state(*copy), original = named_state(model);
    for (std::size_t i = 0; i < state.size(); ++i) {
      EXPECT_EQ(state[i].second.to_vector<float>(), original[i].second.to_vector<float>());
      EXPECT_TRUE(state[i].second.requires_grad());
    }
  }
}

TEST(Tensor, PartsAndViewsShareMemory) {
  const Tensor x = Tensor::from(cpu(), {2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(x.part(3, {3}).to_vector<double>(), (std::vector<double>{4, 5, 6}));
  EXPECT_EQ(x.view({3, 2}).part(2, {2}).part(1, {}).item(), 4);
  x.part(0, {2}).fill(9);
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{9, 9, 3, 4, 5, 6}));
  expect_error([&] { x.part(4, {3}); }, {"[part]", "4 .. 7", "[2, 3]"});
  expect_error([&] { x.view({4}); }, {"[view]", "[2, 3]", "[4]"});
}

TEST(Tensor, EmptyTensorsAreLegal) {
  const Tensor x = Tensor::empty(cpu(), {0, 5}, DType::f32);
  EXPECT_TRUE(x.to_vector<float>().empty());
  EXPECT_EQ(x.clone().count(), 0);
  EXPECT_EQ(matmul(Tensor::zeros(cpu(), {2, 0}, DType::f64), Tensor::zeros(cpu(), {0, 3}, DType::f64)).to_vector<double>(),
            std::vector<double>(6, 0.0));
}

TEST(Tensor, MisuseIsRefused) {
  expect_error([] { Tensor().shape(); }, {"undefined tensor"});
  expect_error([] { Tensor::from(cpu(), {3}, std::vector<float>{1, 2}); }, {"[upload] 2 values", "[3]"});
  expect_error([] { Tensor::zeros(cpu(), {2}, DType::f32).to_vector<double>(); }, {"[download]", "f64", "f32"});
  expect_error([] { Tensor::zeros(cpu(), {2}, DType::f32).item(); }, {"[item]", "[2]"});
  expect_error([] { Tensor::zeros(cpu(), {2}, DType::f32).copy_from(Tensor::zeros(cpu(), {3}, DType::f32)); },
               {"[copy_from]", "[3]"});
  expect_error([] { Shape{1, 2, 3, 4, 5, 6}; }, {"[shape]", "5 dimensions"});
  expect_error([] { Shape{-1}; }, {"[shape]", "-1"});
}

TEST(Tensor, AnotherLayoutIsRefusedNotConverted) {
  const Tensor image = Tensor::empty(cpu(), {17, 3, 4, 4}, DType::f32, Layout::lanes16);
  EXPECT_EQ(cpu().allocator().stats().in_use > 0, true);
  expect_error([&] { relu(image); }, {"[relu]", "row-major"});
  expect_error([&] { image.to_vector<float>(); }, {"[download]", "row-major"});
  expect_error([] { Tensor::empty(cpu(), {17}, DType::f32, Layout::lanes16); }, {"lanes16", "[17]"});
}

TEST(Context, AnUnknownDeviceIsAUsageError) {
  try {
    Context context("tpu");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("tpu"), std::string::npos);
  }
}

}  // namespace
}  // namespace alma::test
