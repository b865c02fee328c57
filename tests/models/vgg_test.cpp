#include "models/vgg.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "kernels/random_cut.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

Count forward_macs(Module& model, std::int64_t rows) {
  const NoGrad off;
  CostScope scope(cpu());
  evaluated(model, Tensor::zeros(cpu(), {rows, 3 * 32 * 32}, DType::f32));
  return scope.cost().macs;
}

struct Size {
  std::int64_t width, parameters;
  std::uint64_t macs;  // per sample; 0: the paper does not say
};

// The figures' networks, to the unit: 135 h^2 + 85 h + 10 parameters.
TEST(Vgg19, HasThePapersParametersAndMacsToTheUnit) {
  const Size sizes[] = {{4, 2'510, 403'368},       {16, 35'930, 4'848'288},       {32, 140'970, 18'322'752},
                        {64, 558'410, 71'150'208}, {128, 2'222'730, 280'319'232}, {256, 8'869'130, 1'112'713'728}};
  for (const auto& [h, parameters, macs] : sizes) {
    const auto model = make_vgg19(cpu(), {3, h, 10, 1}, RandomStream(0, "test"));
    EXPECT_EQ(count_parameters(*model), parameters) << "h = " << h;
    EXPECT_EQ(static_cast<std::uint64_t>(forward_macs(*model, 1)), macs) << "h = " << h;
  }
  EXPECT_EQ(static_cast<std::uint64_t>(forward_macs(*make_vgg19(cpu(), {3, 4, 10, 1}, RandomStream(0, "test")), 19)),
            19u * 403'368);
}

TEST(Vgg19, FixedMixturesHaveThePapersParametersAndCompute) {
  for (const auto& [h, parameters] : {std::pair{4, 5'214}, std::pair{16, 70'914}, std::pair{64, 1'085'394}})
    EXPECT_EQ(count_parameters(*make_vgg19(cpu(), {3, h, 10, 2}, RandomStream(0, "test"))), parameters) << "h = " << h;
  // 2.404 and 30.77 TFLOP for 4.5 million samples, as printed in the figures.
  for (const auto& [h, teraflops, digit] : {std::tuple{4, 2.404, 0.0005}, std::tuple{16, 30.77, 0.005}}) {
    const auto model = make_vgg19(cpu(), {3, h, 10, 2}, RandomStream(0, "test"));
    EXPECT_NEAR(static_cast<double>(forward_macs(*model, 1)) * 4.5e6 * 1e-12, teraflops, digit) << "h = " << h;
  }
}

TEST(Vgg19, ExpertsStartAsCopies) {
  const auto model = make_vgg19(cpu(), {3, 4, 10, 3}, RandomStream(2, "test"));
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : named_state(*model)) state[name] = tensor;
  for (const char* part : {"conv.0.weight", "conv.1.bias", "norm.0.running_var"})
    for (const char* other : {"1", "2"})
      EXPECT_EQ(state.at(std::string("block.1.expert.0.") + part).to_vector<float>(),
                state.at(std::string("block.1.expert.") + other + "." + part).to_vector<float>());
}

TEST(Vgg19, RunningStatisticsAreStateThatWantsNoGradient) {
  const auto model = make_vgg19(cpu(), {3, 4, 10, 1}, RandomStream(0, "test"));
  EXPECT_EQ(named_state(*model).size(), named_parameters(*model).size() + 2 * 16);
  const auto copy = model->clone(cpu());
  std::vector<float> values;
  for (int i = 0; i < 8 * 3 * 32 * 32; ++i) values.push_back(static_cast<float>(i * 7919 % 1009 - 504) / 300);
  const Tensor x = Tensor::from(cpu(), {8, 3, 32, 32}, values);
  for (int i = 0; i < 30; ++i) trained(*model, x);  // far from where the statistics start
  EXPECT_NE(evaluated(*model, x).to_vector<float>(), evaluated(*copy, x).to_vector<float>());
  EXPECT_EQ(evaluated(*model->clone(cpu()), x).to_vector<float>(), evaluated(*model, x).to_vector<float>());
}

TEST(Vgg19, TakesImagesOf32By32Alone) {
  const auto model = make_vgg19(cpu(), {3, 4, 10, 1}, RandomStream(0, "test"));
  expect_error([&] { evaluated(*model, Tensor::zeros(cpu(), {2, 784}, DType::f32)); }, {"3 x 32 x 32", "[2, 784]"});
  expect_error(
      [&] {
        evaluated(*model, Tensor::zeros(cpu(), {2, 3, 16, 64}, DType::f32));
      },
      {"3 x 32 x 32", "[2, 3, 16, 64]"});
  expect_error([] { make_vgg19(cpu(), {3, 4, 10, 0}, RandomStream(0, "test")); }, {"[vgg19]", "experts >= 1"});
}

// ---- against PyTorch: tests/golden/vgg.py, whose formulas these are -------------------------------------------------

constexpr std::int64_t kImages = 6;

double wave(std::int64_t i, double phase) { return std::sin(0.7 * static_cast<double>(i) + phase); }

DeviceImages golden_images(Context& context) {
  std::vector<std::uint8_t> pixels;
  for (std::int64_t i = 0; i < kImages * 3 * 32 * 32; ++i)
    pixels.push_back(static_cast<std::uint8_t>((i * 37 + i / 7 * 11) % 256));
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < kImages; ++i) labels.push_back(3 * i % 10);
  const std::vector<float> mean{0.4914f, 0.4822f, 0.4465f}, std{0.2470f, 0.2435f, 0.2616f};
  return {Tensor::from(context, {kImages, 3, 32, 32}, pixels), Tensor::from(context, {kImages}, labels),
          normalisation(mean, std)};
}

template <class T>
std::vector<T> start(const std::string& name, const Shape& shape, double number) {
  std::int64_t fan_in = 9 * 4;
  if (shape.rank() > 1) fan_in = shape.count() / shape[0];
  const bool norm = name.find(".norm.") != name.npos, weight = name.ends_with("weight");
  std::vector<T> values;
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    const double w = wave(i, number);
    values.push_back(static_cast<T>(!norm ? w / std::sqrt(static_cast<double>(fan_in)) : (weight ? 1 : 0) + 0.1 * w));
  }
  return values;
}

template <class T>
void expect_summary(const std::string& name, const nlohmann::json& expected, const Tensor& tensor, double allowed) {
  double squares = 0, product = 0;
  std::int64_t i = 0;
  for (const T value : tensor.to_vector<T>()) {
    squares += static_cast<double>(value) * value;
    product += static_cast<double>(value) * wave(i++, 0.5);
  }
  const double scale = std::max(1.0, expected[0].get<double>());
  EXPECT_NEAR(squares, expected[0].get<double>(), allowed * scale) << name;
  EXPECT_NEAR(product, expected[1].get<double>(), allowed * scale) << name;
}

// One or two steps: batch normalisation amplifies every rounding after that, in PyTorch as here.
template <class T>
void follow(Context& context, const char* which, int steps) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/vgg.json"));
  const nlohmann::json& expected = golden.at(which);
  const double f32_error = expected.at("f32_error");
  const double allowed = std::is_same_v<T, double>
                             ? tolerance::golden_f64
                             : std::max(tolerance::golden_f32, tolerance::golden_f32_of_pytorch * f32_error);
  const bool augmented = std::string(which) == "augmented", mixture = std::string(which) == "mixture";
  const auto model = make_vgg19(context, {3, 4, 10, mixture ? 2 : 1}, RandomStream(0, "unused"), dtype_of<T>());
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : named_state(*model)) state[name] = tensor;
  ASSERT_EQ(expected["parameters"].size(), named_parameters(*model).size());
  for (std::size_t i = 0; i < expected["parameters"].size(); ++i) {
    const std::string name = expected["parameters"][i];
    state.at(name).assign(std::span<const T>(start<T>(name, state.at(name).shape(), static_cast<double>(i))));
  }
  Optimizer optimizer(named_parameters(*model), SgdRule{0.9, 1e-4, false}, 0.01);
  ImageAugmentation augmentation;
  if (augmented) augmentation = {4, {-1.9f, -1.9f, -1.9f}, true, {RandomStream::key(7, "augmentation, test"), nullptr}};
  augmentation.place.state = optimizer.device_state();
  const DeviceImages images = golden_images(context);
  const Tensor all = Tensor::from(context, {kImages}, std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
  const auto batch = [&](const ImageAugmentation& how) {
    return std::is_same_v<T, double> ? gather_images(images, all, DType::f64, how) : batch_of_images(images, all, how);
  };
  for (int t = 0; t < steps; ++t) {
    for (std::int64_t i = 0; augmented && i < kImages; ++i) {
      const RandomCut cut = random_cut(augmentation, t, i);
      ASSERT_EQ(golden["cuts"][static_cast<std::size_t>(t)][static_cast<std::size_t>(i)],
                nlohmann::json({cut.row, cut.column, cut.mirrored}));
    }
    optimizer.prepare();
    const Batch b = batch(augmentation);
    const Tensor loss = softmax_cross_entropy(trained(*model, b.x), b.y);
    EXPECT_NEAR(loss.item(), expected["losses"][static_cast<std::size_t>(t)].get<double>(), allowed) << "step " << t;
    loss.backward();
    for (const auto& [name, parameter] : named_parameters(*model))
      if (t == 0) expect_summary<T>(name, expected["gradients"][name], parameter.grad(), allowed);
    optimizer.apply();
  }
  if (steps < 2) return;
  for (const auto& [name, tensor] : state) expect_summary<T>(name, expected["state"][name], tensor, allowed);
  const NoGrad off;
  const Batch b = batch({});
  EXPECT_NEAR(softmax_cross_entropy(evaluated(*model, b.x), b.y).item(), expected["evaluated"].get<double>(), allowed);
}

TEST(VggGolden, TwoStepsInF64) { follow<double>(cpu(), "plain", 2); }
TEST(VggGolden, TwoAugmentedStepsInF64) { follow<double>(cpu(), "augmented", 2); }
TEST(VggGolden, TwoStepsOfTheFixedMixtureInF64) { follow<double>(cpu(), "mixture", 2); }
TEST(VggGolden, OneStepInF32) {
  for (const char* which : {"plain", "augmented", "mixture"}) follow<float>(cpu(), which, 1);
}
TEST(VggGolden, OneStepInTheSimulator) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  for (const char* which : {"plain", "augmented", "mixture"}) follow<float>(*sim, which, 1);
}

}  // namespace
}  // namespace alma::test
