#pragma once
#include "tests/kernels/kernel_test.h"

namespace alma::test {

/// An f64 output as it is now.
inline Values values_of(Device& device, const Out& out) {
  Values values(static_cast<std::size_t>(out.shape.count()));
  if (!values.empty()) device->download(out.data, values.data(), values.size() * sizeof(double));
  return values;
}

inline double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// gradients[k] = d loss / d inputs[k], by central differences in f64. Names the worst element.
inline void expect_gradients(std::vector<Values> inputs, const std::vector<Values>& gradients,
                             const std::function<double(const std::vector<Values>&)>& loss) {
  constexpr double step = 1e-5;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    ASSERT_EQ(gradients[k].size(), inputs[k].size());
    double worst = 0, expected = 0;
    std::size_t worst_at = 0;
    for (std::size_t i = 0; i < inputs[k].size(); ++i) {
      const double middle = inputs[k][i];
      inputs[k][i] = middle + step;
      const double above = loss(inputs);
      inputs[k][i] = middle - step;
      const double numeric = (above - loss(inputs)) / (2 * step);
      inputs[k][i] = middle;
      const double error = std::fabs(numeric - gradients[k][i]) / std::max(1.0, std::fabs(numeric));
      if (error <= worst) continue;
      worst = error;
      worst_at = i;
      expected = numeric;
    }
    EXPECT_LE(worst, tolerance::central_difference) << "input " << k << ", element " << worst_at << ": gradient "
                                                    << gradients[k][worst_at] << ", central difference " << expected;
  }
}

}  // namespace alma::test
