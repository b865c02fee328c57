#include "engine/ops_images.h"

#include "engine/ops_conv.h"
#include "engine/ops_matmul.h"
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

/// Six images of 5 x 7 and one channel, on the cpu.
DeviceImages six_images() {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 6 * 35; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  const std::vector<float> mean{0.5f}, std{0.25f};
  return {Tensor::from(cpu(), {6, 1, 5, 7}, bytes), Tensor::from(cpu(), {6}, std::vector<std::int32_t>{0, 1, 2, 3, 4, 5}),
          normalisation(mean, std)};
}

/// One channel on the cpu: the batch is not stored, and a narrow linear layer gives what it gives on the stored one.
TEST(BatchOfImages, LinearLayersTakeImagesWhereTheyLie) {
  const DeviceImages images = six_images();
  const Tensor indices = Tensor::from(cpu(), {3}, std::vector<std::int32_t>{4, 0, 5});
  const Batch lazy = batch_of_images(images, indices), stored = gather_images(images, indices);
  EXPECT_EQ(lazy.y.to_vector<std::int32_t>(), (std::vector<std::int32_t>{4, 0, 5}));
  ASSERT_TRUE(lazy.x.is_deferred());
  ASSERT_EQ(lazy.x.shape(), (Shape{3, 35}));
  expect_error([&] { lazy.x.in(); }, {"[3, 35]", "dense()"});
  expect_error([&] { lazy.x.view({35, 3}); }, {"dense()"});
  EXPECT_EQ(dense(lazy.x).to_vector<float>(), stored.x.to_vector<float>());
  for (const std::int64_t out : {3, 100}) {  // in place, and made dense first
    std::vector<float> values;
    for (std::int64_t i = 0; i < out * 35; ++i) values.push_back(static_cast<float>((i * 7919) % 101 - 50) / 100);
    std::vector<std::vector<float>> results, gradients;
    std::vector<Count> flops;
    for (const Tensor& x : {batch_of_images(images, indices).x, stored.x}) {
      Tensor weight = Tensor::from(cpu(), {out, 35}, values), bias = Tensor::full(cpu(), {out}, DType::f32, 0.5);
      weight.set_requires_grad(true);
      bias.set_requires_grad(true);
      const CostScope scope(cpu());
      const Tensor y = linear(x, weight, bias, true);
      y.backward(Tensor::full(cpu(), y.shape(), DType::f32, 1));
      flops.push_back(scope.cost().flops);
      results.push_back(y.to_vector<float>());
      gradients.push_back(weight.grad().to_vector<float>());
    }
    EXPECT_TRUE(flops[0] == flops[1]);
    // 35 products of magnitude up to 1: a few roundings apart.
    for (std::size_t i = 0; i < results[0].size(); ++i) EXPECT_NEAR(results[0][i], results[1][i], 1e-5) << out << ' ' << i;
    for (std::size_t i = 0; i < gradients[0].size(); ++i) EXPECT_NEAR(gradients[0][i], gradients[1][i], 1e-5) << i;
  }
}

TEST(GatherImages, RefusesWhatIsNoImageSet) {
  const DeviceImages images{Tensor::zeros(cpu(), {2, 1, 1, 2}, DType::u8), Tensor::zeros(cpu(), {3}, DType::i32), {}};
  expect_error([&] { gather_images(images, Tensor::zeros(cpu(), {1}, DType::i32)); },
               {"[gather_images] labels must be [2]"});
  expect_error([] { normalisation(std::vector<float>{1, 2}, std::vector<float>{1}); }, {"[normalisation]", "2 and 1"});
}

TEST(BatchOfImages, OfAStackIsTheBatchOfEachMember) {
  Context context;
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 5 * 2 * 6 * 6; ++i) pixels.push_back(static_cast<std::uint8_t>(i * 37 % 251));
  const std::vector<float> mean{0.5f, 0.4f}, std{0.25f, 0.3f};
  const DeviceImages images{Tensor::from(context, {5, 2, 6, 6}, pixels),
                            Tensor::from(context, {5}, std::vector<std::int32_t>{4, 3, 2, 1, 0}), normalisation(mean, std)};
  const StepState state;
  const auto augmented = [&](std::uint64_t key) { return ImageAugmentation{2, {-1, 1}, true, {key, &state}}; };
  const std::vector<ImageAugmentation> members{augmented(5), augmented(6)};
  const Tensor indices = Tensor::from(context, {6}, std::vector<std::int32_t>{0, 1, 2, 0, 1, 2});
  const Batch all = batch_of_images(images, indices, members);
  EXPECT_EQ(all.x.shape(), (Shape{6, 72}));
  EXPECT_EQ(all.y.to_vector<std::int32_t>(), (std::vector<std::int32_t>{4, 3, 2, 4, 3, 2}));
  for (std::int64_t m = 0; m < 2; ++m)
    EXPECT_EQ(all.x.part(m * 216, {3, 72}).to_vector<float>(),
              gather_images(images, indices.part(3 * m, {3}), DType::f32, members[static_cast<std::size_t>(m)])
                  .x.to_vector<float>());
  EXPECT_NE(all.x.part(0, {216}).to_vector<float>(), all.x.part(216, {216}).to_vector<float>());
  const std::vector<ImageAugmentation> plain(2);
  EXPECT_EQ(dense(batch_of_images(images, indices, plain).x).to_vector<float>(),
            gather_images(images, indices).x.to_vector<float>());
  EXPECT_THROW(batch_of_images(images, indices.part(0, {5}), members), Error);
}

// Of rows, of images in their layout, and of images that are deferred: still deferred, unless they are augmented.
TEST(SelectRows, OfWhateverAModelTakes) {
  const DeviceImages images = six_images();
  const Tensor indices = Tensor::from(cpu(), {4}, std::vector<std::int32_t>{4, 0, 5, 2});
  const Tensor chosen = Tensor::from(cpu(), {3}, std::vector<std::int32_t>{3, 1, 3});
  const auto stored = gather_images(images, indices).x.to_vector<float>();
  const std::vector<std::size_t> places{3, 1, 3};
  const std::vector<float> times{0, 1, 0, 2};
  const auto expect_chosen = [&](const Tensor& found, const std::vector<float>& rows) {
    const auto values = found.to_vector<float>();
    ASSERT_EQ(values.size(), 3u * 35);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], rows[places[i / 35] * 35 + i % 35]) << i;
  };
  const Tensor lazy = batch_of_images(images, indices).x;
  const Tensor some = select_rows(lazy, chosen);
  ASSERT_TRUE(some.is_deferred());
  EXPECT_EQ(some.shape(), (Shape{3, 35}));
  expect_chosen(dense(some), stored);
  expect_chosen(dense(select_rows(some, Tensor::from(cpu(), {3}, std::vector<std::int32_t>{0, 1, 2}))), stored);
  const StepState state;
  const ImageAugmentation mirrored{0, {}, true, {5, &state}};
  const Tensor augmented = batch_of_images(images, indices, mirrored).x;
  const auto as_stored = dense(augmented).to_vector<float>();
  expect_chosen(dense(select_rows(augmented, chosen)), as_stored);
  // Images, and the gradient of a row that is chosen twice.
  Tensor rows = Tensor::from(cpu(), {4, 1, 5, 7}, stored).set_requires_grad(true);
  const Tensor y = select_rows(rows, chosen);
  ASSERT_EQ(y.shape(), (Shape{3, 1, 5, 7}));
  expect_chosen(y, stored);
  y.backward(Tensor::full(cpu(), y.shape(), DType::f32, 1));
  const auto gradient = rows.grad().to_vector<float>();
  for (std::size_t i = 0; i < gradient.size(); ++i) EXPECT_EQ(gradient[i], times[i / 35]) << i;
  expect_chosen(to_layout(select_rows(to_layout(rows.detach(), Layout::lanes16), chosen), Layout::row_major), stored);
  expect_error([&] { select_rows(rows, rows); }, {"[select_rows] indices"});
}

}  // namespace
}  // namespace alma::test
