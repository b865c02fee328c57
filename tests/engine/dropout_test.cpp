// Which elements fall out is tested in tests/kernels/dropout_test.cpp.
#include "engine/ops_dropout.h"

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Dropout, KeepsAndScalesOrDrops) {
  const StepState state{3, 0};
  const Tensor x = random_tensor({100, 7}, 1, 1, 2);
  const auto v = x.to_vector<double>(), y = dropout(x, 0.25, {5, &state}).to_vector<double>();
  int dropped = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    dropped += y[i] == 0;
    EXPECT_NEAR(y[i], y[i] == 0 ? 0 : v[i] / 0.75, 1e-15);
  }
  EXPECT_NEAR(dropped, 175, 40);  // 3.5 standard deviations
}

TEST(Dropout, TheGradientDropsTheSameElements) {
  const StepState state{3, 0};
  expect_gradient([&](const auto& in) { return dropout(in[0], 0.4, {5, &state, 12}); }, {random_tensor({9, 4}, 1)});
}

TEST(Dropout, OfNothingIsTheSameTensor) {
  const StepState state;
  const Tensor x = random_tensor({3}, 1);
  EXPECT_EQ(dropout(x, 0, {5, &state}).in().data, x.in().data);
}

}  // namespace
}  // namespace alma::test
