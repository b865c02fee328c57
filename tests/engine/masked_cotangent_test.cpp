#include "engine/masked_cotangent.h"

#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

// y = relu(x w^T + b), taken by linear ops and by others.
struct Layers {
  std::vector<Tensor> inputs{random_tensor({6, 4}, 1), random_tensor({5, 4}, 2), random_tensor({5}, 3),
                             random_tensor({3, 5}, 4), random_tensor({3}, 5),    random_tensor({3, 5}, 6)};
  static Tensor hidden(const std::vector<Tensor>& in) { return linear(in[0], in[1], in[2], true); }
  static Tensor first(const std::vector<Tensor>& in, const Tensor& y) { return linear(y, in[3], in[4], false); }
  static Tensor second(const std::vector<Tensor>& in, const Tensor& y) { return linear(y, in[5], Tensor(), false); }
};

void expect_gradient_of(std::size_t used, const Function& f) {
  Layers layers;
  layers.inputs.resize(used);
  expect_gradient(f, layers.inputs);
}

TEST(MaskedCotangent, OfASoleTakerIsTheGradient) {
  expect_gradient_of(5, [](const auto& in) { return Layers::first(in, Layers::hidden(in)); });
}

// The mask is applied by one of those who add to the cotangent and not by the other, which has a part where y is 0.
TEST(MaskedCotangent, IsMaskedAgainWhereSomebodyElseAddsToIt) {
  for (const bool linear_last : {false, true})
    expect_gradient_of(5, [=](const auto& in) {
      const Tensor y = Layers::hidden(in);
      if (linear_last) {
        const Tensor other = sum(affine(y, 2, 1), {1}, true);
        return other + Layers::first(in, y);
      }
      const Tensor z = Layers::first(in, y);
      return z * sum(affine(y, 2, 1), {1}, true);
    });
}

TEST(MaskedCotangent, IsTheSumOverSeveralLinearTakers) {
  expect_gradient_of(6, [](const auto& in) {
    const Tensor y = Layers::hidden(in);
    return Layers::first(in, y) * Layers::second(in, y);
  });
}

TEST(MaskedCotangent, IsNotMissedWhereTheTakerHasNoPartInTheLoss) {
  expect_gradient_of(3, [](const auto& in) {
    const Tensor y = Layers::hidden(in);
    linear(y, random_tensor({2, 5}, 9), Tensor(), false);  // counted as a taker, offers nothing
    return affine(y, 3, 0);
  });
}

TEST(MaskedCotangent, ReachesALinearOpThroughAnother) {
  expect_gradient_of(5, [](const auto& in) { return Layers::first(in, reshape(Layers::hidden(in), {6, 5})); });
}

TEST(MaskedCotangent, GivesTheSameGradientWithAndWithoutABias) {
  for (const bool bias : {false, true}) {
    std::vector<Tensor> inputs{random_tensor({6, 4}, 1), random_tensor({5, 4}, 2), random_tensor({3, 5}, 4)};
    const Tensor constant = random_tensor({5}, 3);
    expect_gradient(
        [&](const auto& in) {
          return linear(linear(in[0], in[1], bias ? constant : Tensor(), true), in[2], Tensor(), false);
        },
        inputs);
  }
}

// The invariant itself: an offer is told by its memory, and only as long as it stands.
TEST(MaskedCotangent, TakesTheOfferAndNothingElse) {
  const Tensor offered = random_tensor({2, 3}, 1), sums = random_tensor({3}, 2);
  MaskedCotangent masked;
  EXPECT_FALSE(masked.take(offered)) << "nothing was offered";
  masked.offer({offered, sums});
  const auto taken = masked.take(offered);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->cotangent.in().data, offered.in().data);
  EXPECT_EQ(taken->sums.in().data, sums.in().data);
  EXPECT_FALSE(masked.take(offered)) << "taken before";
  masked.offer({offered, sums});
  EXPECT_FALSE(masked.take(offered.clone())) << "equal numbers in other memory are a sum with something else";
  EXPECT_FALSE(masked.take(offered)) << "no offer stands after that";
  EXPECT_FALSE(masked.has_sole_taker());
  masked.add_taker();
  EXPECT_TRUE(masked.has_sole_taker());
  masked.add_taker();
  EXPECT_FALSE(masked.has_sole_taker());
}

}  // namespace
}  // namespace alma::test
