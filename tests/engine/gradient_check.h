#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "base/random.h"
#include "engine/autograd.h"
#include "tests/tolerances.h"

namespace alma::test {

/// One CPU context for all tests of a program.
inline Context& cpu() {
  static Context context("cpu");
  return context;
}

/// x as f32, in `context`.
inline Tensor in_f32(const Tensor& x, Context& context) {
  const auto values = x.to_vector<double>();
  return Tensor::from(context, x.shape(), std::vector<float>(values.begin(), values.end()));
}

/// Random f64 values in [low, high).
inline Tensor random_tensor(const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  RandomStream random(seed, "test input");
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& value : values) value = random.uniform(low, high);
  return Tensor::from(cpu(), shape, values);
}

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// Gradients of sum(f(inputs) * cotangent), with a random cotangent (a plain sum hides errors that cancel), against central
/// differences in f64. The failure names the worst element.
inline void expect_gradient(const Function& f, std::vector<Tensor> inputs) {
  for (Tensor& input : inputs) input.set_requires_grad(true).clear_grad();
  const Tensor y = f(inputs);
  ASSERT_TRUE(y.requires_grad());
  const Tensor cotangent = random_tensor(y.shape(), 77);
  y.backward(cotangent);
  const std::vector<double> weights = cotangent.to_vector<double>();
  const auto value = [&] {
    NoGrad off;
    const std::vector<double> out = f(inputs).to_vector<double>();
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * weights[i];
    return sum;
  };
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    ASSERT_TRUE(inputs[k].grad().defined()) << "no gradient for input " << k;
    ASSERT_EQ(inputs[k].grad().shape(), inputs[k].shape()) << "input " << k;
    const std::vector<double> gradient = inputs[k].grad().to_vector<double>();
    std::vector<double> x = inputs[k].to_vector<double>();
    double worst = 0, expected = 0;
    std::size_t worst_at = 0;
    constexpr double h = 1e-5;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double middle = x[i];
      const auto at = [&](double moved) {
        x[i] = moved;
        inputs[k].assign(std::span<const double>(x));
        return value();
      };
      const double numeric = (at(middle + h) - at(middle - h)) / (2 * h);
      at(middle);
      const double error = std::abs(numeric - gradient[i]) / std::max(1.0, std::abs(numeric));
      if (!(error <= worst)) {
        worst = error;
        worst_at = i;
        expected = numeric;
      }
    }
    EXPECT_LE(worst, tolerance::central_difference)
        << "input " << k << ' ' << inputs[k].shape() << ", element " << worst_at << ": gradient " << gradient[worst_at]
        << ", central difference " << expected;
  }
}

/// Expects that `action` throws an Error whose message has all the given parts.
template <class Action>
void expect_error(Action action, std::initializer_list<const char*> parts) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    for (const char* part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "'" << part << "' is not in: " << error.what();
  }
}

}  // namespace alma::test
