// Normalisation and pooling in f64 against PyTorch (tests/golden/layers.py).
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/kernels/central_difference.h"

namespace alma::test {
namespace {

const DType t = DType::f64;

const nlohmann::json& golden(const char* name) {
  static const nlohmann::json json = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/layers.json"));
  return json.at(name);
}

/// The same numbers as in the script.
Values wave(const Shape& shape, double phase) {
  Values values;
  for (std::int64_t i = 0; i < shape.count(); ++i) values.push_back(std::sin(0.7 * static_cast<double>(i) + phase));
  return values;
}

void expect_near(const Values& actual, const nlohmann::json& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i].get<double>(), tolerance::golden_f64) << "element " << i;
}

class LayersGolden : public KernelTest {};

TEST_P(LayersGolden, LayerNorm) {
  Device d(backend(), 0);
  const Shape shape{5, 7};
  const In x = d.in(t, shape, wave(shape, 1)), gamma = d.in(t, {7}, wave({7}, 2)), dy = d.in(t, shape, wave(shape, 9));
  const Out y = d.out(t, shape), mean = d.out(t, {5}), rstd = d.out(t, {5});
  const Out dx = d.out(t, shape), dgamma = d.out(t, {7}), dbeta = d.out(t, {7});
  d->layer_norm(x, gamma, d.in(t, {7}, wave({7}, 3)), 1e-5, y, mean, rstd);
  d->layer_norm_backward(x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
  const nlohmann::json& expected = golden("layer_norm");
  expect_near(values_of(d, y), expected["y"]);
  expect_near(values_of(d, dx), expected["gradients"][0]);
  expect_near(values_of(d, dgamma), expected["gradients"][1]);
  expect_near(values_of(d, dbeta), expected["gradients"][2]);
}

TEST_P(LayersGolden, BatchNorm) {
  for (const bool relu : {false, true}) {
    Device d(backend(), 0);
    const Shape shape{4, 3, 2, 5};
    Values variance = wave({3}, 5);
    for (double& value : variance) value = std::fabs(value) + 0.5;
    const In x = d.in(t, shape, wave(shape, 1)), gamma = d.in(t, {3}, wave({3}, 2)), beta = d.in(t, {3}, wave({3}, 3));
    const In dy = d.in(t, shape, wave(shape, 9));
    const Out running_mean = d.in_out(t, {3}, wave({3}, 4)), running_var = d.in_out(t, {3}, variance);
    const Out y = d.out(t, shape), evaluated = d.out(t, shape), mean = d.out(t, {3}), rstd = d.out(t, {3});
    const Out dx = d.out(t, shape), dgamma = d.out(t, {3}), dbeta = d.out(t, {3});
    d->batch_norm_inference(x, gamma, beta, running_mean, running_var, 1e-5, relu, evaluated);
    d->batch_norm(x, gamma, beta, {0.1, 1e-5, relu}, running_mean, running_var, y, mean, rstd);
    d->batch_norm_backward(x, gamma, relu ? beta : In{}, mean, rstd, dy, dx, dgamma, dbeta);
    const nlohmann::json& expected = golden(relu ? "batch_norm_relu" : "batch_norm");
    expect_near(values_of(d, evaluated), expected["evaluated"]);
    expect_near(values_of(d, y), expected["y"]);
    expect_near(values_of(d, running_mean), expected["running_mean"]);
    expect_near(values_of(d, running_var), expected["running_var"]);
    expect_near(values_of(d, dx), expected["gradients"][0]);
    expect_near(values_of(d, dgamma), expected["gradients"][1]);
    expect_near(values_of(d, dbeta), expected["gradients"][2]);
  }
}

TEST_P(LayersGolden, MaxPool) {
  struct Case {
    const char* name;
    Shape x, y;
    PoolWindow window;
  };
  for (const Case& c : {Case{"max_pool_2_2", {2, 3, 6, 8}, {2, 3, 3, 4}, {2, 2, 2}},
                        Case{"max_pool_3_2", {2, 3, 6, 7}, {2, 3, 4, 6}, {3, 2, 1}}}) {
    Device d(backend(), 0);
    const Out y = d.out(t, c.y), place = d.out(DType::u8, c.y), dx = d.out(t, c.x);
    d->max_pool(d.in(t, c.x, wave(c.x, 1)), c.window, y, place);
    d->max_pool_backward(d.in(t, c.y, wave(c.y, 9)), place, c.window, dx);
    expect_near(values_of(d, y), golden(c.name)["y"]);
    expect_near(values_of(d, dx), golden(c.name)["gradients"][0]);
  }
}

TEST_P(LayersGolden, AdaptiveAveragePool) {
  Device d(backend(), 0);
  const Shape shape{2, 3, 10, 7}, pooled{2, 3, 4, 3};
  const Out y = d.out(t, pooled), dx = d.out(t, shape);
  d->adaptive_average_pool(d.in(t, shape, wave(shape, 1)), y);
  d->adaptive_average_pool_backward(d.in(t, pooled, wave(pooled, 9)), dx);
  expect_near(values_of(d, y), golden("adaptive_average_pool")["y"]);
  expect_near(values_of(d, dx), golden("adaptive_average_pool")["gradients"][0]);
}

INSTANTIATE_TEST_SUITE_P(On, LayersGolden, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
