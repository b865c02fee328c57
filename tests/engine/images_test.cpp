#include "engine/ops_images.h"

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(GatherImages, NormalisesEachChannelOfTheNamedImages) {
  // Two images of two channels, 1 x 2 pixels.
  const Tensor pixels = Tensor::from(cpu(), {2, 2, 1, 2}, std::vector<std::uint8_t>{0, 255, 10, 20, 51, 102, 30, 40});
  const Tensor labels = Tensor::from(cpu(), {2}, std::vector<std::int32_t>{7, 8});
  const std::vector<float> mean{0.5f, 0.1f}, std{0.25f, 0.2f};
  const DeviceImages images{pixels, labels, normalisation(mean, std)};
  const Batch batch = gather_images(images, Tensor::from(cpu(), {3}, std::vector<std::int32_t>{1, 0, 1}), DType::f64);
  EXPECT_EQ(batch.y.to_vector<std::int32_t>(), (std::vector<std::int32_t>{8, 7, 8}));
  ASSERT_EQ(batch.x.shape(), (Shape{3, 4}));
  const auto x = batch.x.to_vector<double>();
  // Six digits: scale and shift are rounded to f32 once.
  EXPECT_NEAR(x[0], (51 / 255.0 - 0.5) / 0.25, 1e-6);
  EXPECT_NEAR(x[2], (30 / 255.0 - 0.1) / 0.2, 1e-6);
  EXPECT_NEAR(x[5], (255 / 255.0 - 0.5) / 0.25, 1e-6);
  EXPECT_NEAR(x[7], (20 / 255.0 - 0.1) / 0.2, 1e-6);
}

TEST(GatherImages, RefusesWhatIsNoImageSet) {
  const DeviceImages images{Tensor::zeros(cpu(), {2, 1, 1, 2}, DType::u8), Tensor::zeros(cpu(), {3}, DType::i32), {}};
  expect_error([&] { gather_images(images, Tensor::zeros(cpu(), {1}, DType::i32)); },
               {"[gather_images] labels must be [2]"});
  expect_error([] { normalisation(std::vector<float>{1, 2}, std::vector<float>{1}); }, {"[normalisation]", "2 and 1"});
}

}  // namespace
}  // namespace alma::test
