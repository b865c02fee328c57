#include "tests/kernels/lanes_test.h"
#include "tests/kernels/norm_reference.h"

namespace alma::test {
namespace {

const BatchNormRule kRule{0.1, 1e-5, false};

/// The elements of each channel of x [n, c, ...].
NormGroups channels_of(const Shape& shape) {
  const std::int64_t c = shape[1], plane = shape.rank() == 2 ? 1 : shape[2] * shape[3];
  NormGroups groups(static_cast<std::size_t>(c));
  for (std::int64_t i = 0; i < shape.count(); ++i)
    groups[static_cast<std::size_t>(i / plane % c)].push_back({i, i / plane % c});
  return groups;
}

class BatchNorm : public LanesTest {
 public:
  void check(const Shape& shape, DType dtype, bool relu = false, double offset = 0, Layout layout = Layout::row_major) {
    SCOPED_TRACE(testing::Message() << shape << " " << name_of(dtype) << (relu ? " relu" : "") << " about " << offset);
    const std::int64_t c = shape[1];
    NormInputs in{uniform("x", shape.count(), dtype, offset - 2, offset + 2), uniform("gamma", c, dtype, 0.5, 1.5),
                  uniform("beta", c, dtype), kRule.epsilon, relu};
    in.dy = uniform("dy", shape.count(), dtype);
    const NormGroups groups = channels_of(shape);
    add_statistics(in, groups, dtype);
    const Values running_mean = uniform("running mean", c, dtype), running_var = uniform("running var", c, dtype, 0.5, 2);
    NormInputs masked = in;
    for (std::size_t g = 0; relu && g < groups.size(); ++g)
      for (const NormElement& e : groups[g]) mask(in, masked, g, static_cast<std::size_t>(e.index));
    BatchNormRule rule = kRule;
    rule.relu = relu;
    std::vector<Values> outputs = run([&](Device& device) {
      const In x = images(device, layout, dtype, shape, in.x), gamma = device.in(dtype, {c}, in.gamma);
      const In beta = device.in(dtype, {c}, in.beta);
      const Out y = images_out(device, layout, dtype, shape), mean = device.out(dtype, {c}), rstd = device.out(dtype, {c});
      device->batch_norm(x, gamma, beta, rule, {}, {}, y, mean, rstd);
      const In in_mean = device.in(dtype, {c}, in.mean), in_rstd = device.in(dtype, {c}, in.rstd);
      const Out dx = images_out(device, layout, dtype, shape), dgamma = device.out(dtype, {c}),
                dbeta = device.out(dtype, {c});
      device->batch_norm_backward(x, gamma, relu ? beta : In{}, in_mean, in_rstd,
                                  images(device, layout, dtype, shape, in.dy), dx, dgamma, dbeta);
      const Out new_mean = device.in_out(dtype, {c}, running_mean), new_var = device.in_out(dtype, {c}, running_var);
      const Out again = images_out(device, layout, dtype, shape);
      device->batch_norm(x, gamma, beta, rule, new_mean, new_var, again, device.out(dtype, {c}), device.out(dtype, {c}));
      device->batch_norm_inference(x, gamma, beta, device.in(dtype, {c}, running_mean), device.in(dtype, {c}, running_var),
                                   rule.epsilon, relu, images_out(device, layout, dtype, shape));
      const Out dx_over_dy = images_in_out(device, layout, dtype, shape, in.dy), dgamma_again = device.out(dtype, {c}),
                dbeta_again = device.out(dtype, {c});
      device->batch_norm_backward(x, gamma, relu ? beta : In{}, in_mean, in_rstd, dx_over_dy, dx_over_dy, dgamma_again,
                                  dbeta_again);
    });
    for (const std::size_t i : {0, 3, 8, 11, 12}) outputs[i] = elements_of(layout, shape, outputs[i]);
    expect_norm(outputs, 0, dtype, in, groups);
    expect_norm_gradients(outputs, 3, dtype, masked, groups);
    expect_equal(outputs[8], outputs[0]);
    for (const std::size_t i : {0, 1, 2}) expect_equal(outputs[12 + i], outputs[3 + i]);
    check_running(outputs, dtype, in, groups, running_mean, running_var);
    check_inference(outputs[11], dtype, in, groups, running_mean, running_var);
  }

 private:
  /// Leaves out the gradient where the output was 0. Where its sign hangs on a rounding both gradients are 0.
  static void mask(NormInputs& in, NormInputs& masked, std::size_t channel, std::size_t i) {
    const double y = (in.x[i] - in.mean[channel]) * in.rstd[channel] * in.gamma[channel] + in.beta[channel];
    if (std::fabs(y) < 1e-3) in.dy[i] = masked.dy[i] = 0;
    if (y < 0) masked.dy[i] = 0;
  }

  void check_running(const std::vector<Values>& outputs, DType dtype, const NormInputs& in, const NormGroups& groups,
                     const Values& running_mean, const Values& running_var) {
    const auto expected = [&](bool variance) {
      return [&, variance](auto type) {
        using T = decltype(type);
        const T momentum = static_cast<T>(kRule.momentum);
        Expected result;
        for (std::size_t g = 0; g < groups.size(); ++g) {
          const NormStatistics<T> s = norm_statistics<T>(in, groups[g]);
          const PlainSum<T>& sum = variance ? s.squares : s.sum;
          const T divisor = static_cast<T>(groups[g].size()) - (variance ? 1 : 0);
          const T before = static_cast<T>((variance ? running_var : running_mean)[g]);
          result.add((1 - momentum) * before + momentum * (sum.value / divisor),
                     std::max(std::fabs(before), sum.largest / divisor), momentum * sum.typical_error() / divisor);
        }
        return result;
      };
    };
    expect_matches(outputs[6], dtype, expected(false));
    expect_matches(outputs[7], dtype, expected(true));
  }

  void check_inference(const Values& y, DType dtype, const NormInputs& in, const NormGroups& groups,
                       const Values& running_mean, const Values& running_var) {
    expect_matches(y, dtype, [&](auto type) {
      using T = decltype(type);
      Expected result;
      result.values.resize(in.x.size());
      result.largest.resize(in.x.size());
      result.typical_errors.resize(in.x.size());
      for (std::size_t g = 0; g < groups.size(); ++g) {
        for (const NormElement& e : groups[g]) {
          const auto i = static_cast<std::size_t>(e.index);
          const T scale =
              static_cast<T>(in.gamma[g]) / std::sqrt(static_cast<T>(running_var[g]) + static_cast<T>(in.epsilon));
          const T x = static_cast<T>(in.x[i]), mean = static_cast<T>(running_mean[g]), beta = static_cast<T>(in.beta[g]);
          const T value = (x - mean) * scale + beta;
          result.values[i] = in.relu && value < 0 ? 0 : value;
          result.largest[i] = std::max({std::fabs(x) * scale, std::fabs(mean) * scale, std::fabs(beta)});
        }
      }
      return result;
    });
  }
};

TEST_P(BatchNorm, RaggedSizes) {
  for (DType dtype : float_types()) {
    for (const Shape& shape :
         {Shape{2, 1}, Shape{31, 5}, Shape{33, 33}, Shape{257, 3}, Shape{128, 64}, Shape{3, 2, 1, 1}, Shape{5, 33, 2, 2},
          Shape{1, 7, 1, 2}, Shape{33, 11, 3, 3}, Shape{7, 6, 3, 5}, Shape{2, 3, 4, 4}, Shape{1, 3, 31, 1},
          Shape{3, 5, 7, 11}, Shape{5, 4, 8, 8}, Shape{3, 2, 32, 32}})
      for (const bool relu : {false, true}) check(shape, dtype, relu);
  }
}

TEST_P(BatchNorm, ChannelsOfSeveralTilesAndChunks) {
  for (DType dtype : float_types()) {
    check({129, 40}, dtype, true);
    check({1031, 9, 1, 2}, dtype);
    check({5, 2, 32, 32}, dtype, true);
    check({17, 3, 17, 17}, dtype, true);
    check({9000, 2}, dtype);
    check({300, 1, 32, 32}, dtype);
  }
}

TEST_P(BatchNorm, MeansFarFromZero) {
  for (DType dtype : float_types())
    for (const Shape& shape : {Shape{33, 3}, Shape{300, 3}, Shape{5, 2, 8, 8}, Shape{8, 2, 32, 32}})
      check(shape, dtype, false, 1000);
}

TEST_P(BatchNorm, NoElements) {
  for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{2, 3, 0, 2}, Shape{2, 0, 2, 2}}) {
    const std::int64_t c = shape[1];
    const Values ones(static_cast<std::size_t>(c), 1);
    const DType t = DType::f32;
    const std::vector<Values> outputs = run([&](Device& device) {
      const In x = device.in(t, shape, {}), one = device.in(t, {c}, ones);
      const Out running = device.in_out(t, {c}, ones), dgamma = device.out(t, {c}), dbeta = device.out(t, {c});
      device->batch_norm(x, one, one, kRule, running, running, device.out(t, shape), device.out(t, {c}), device.out(t, {c}));
      device->batch_norm_inference(x, one, one, one, one, 1e-5, true, device.out(t, shape));
      device->batch_norm_backward(x, one, one, one, one, x, device.out(t, shape), dgamma, dbeta);
    });
    expect_equal(outputs[0], ones);
    expect_equal(outputs[1], Values(static_cast<std::size_t>(c), 0));
    expect_equal(outputs[2], Values(static_cast<std::size_t>(c), 0));
  }
}

TEST_P(BatchNorm, OneValuePerChannelIsRefused) {
  const DType t = DType::f32;
  for (const Shape& shape : {Shape{1, 2}, Shape{1, 2, 1, 1}}) {
    Device device(backend(), 0);
    const In two = device.in(t, {2}, {1, 1});
    const Out out = device.out(t, {2});
    const std::string message = error_of([&] {
      device->batch_norm(device.in(t, shape, {1, 2}), two, two, kRule, out, out, device.out(t, shape), out, out);
    });
    EXPECT_NE(message.find("[batch_norm] training needs more than one value per channel"), std::string::npos) << message;
  }
}

class BatchNormInLanes : public BatchNorm {};

TEST_P(BatchNormInLanes, RaggedBatchesAndSizes) {
  for (const std::int64_t n : ragged_batches)
    for (const bool relu : {false, true})
      for (const Shape& shape : {Shape{n, 3, 2, 2}, Shape{n, 2, 5, 7}}) check(shape, DType::f32, relu, 0, Layout::lanes16);
  for (const Shape& shape : {Shape{17, 5, 1, 1}, Shape{2, 1, 1, 1}, Shape{33, 3, 32, 33}, Shape{128, 4, 32, 32}})
    check(shape, DType::f32, true, 0, Layout::lanes16);
  check({33, 2, 8, 8}, DType::f32, false, 1000, Layout::lanes16);
  check({128, 2, 32, 32}, DType::f32, true, 1000, Layout::lanes16);
}

INSTANTIATE_TEST_SUITE_P(On, BatchNormInLanes, testing::ValuesIn(cpu_devices()), device_test_name);

class BatchNormInF64 : public BatchNorm {};

TEST_P(BatchNormInF64, BackwardIsTheGradientOfTheForward) {
  const DType t = DType::f64;
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 2, 2, 3}}) {
    for (const bool relu : {false, true}) {
      const std::int64_t c = shape[1];
      const Values x = uniform("x", shape.count(), t), gamma = uniform("gamma", c, t), beta = uniform("beta", c, t);
      const Values dy = uniform("dy", shape.count(), t);
      BatchNormRule rule = kRule;
      rule.relu = relu;
      const auto forward = [&](Device& device, const std::vector<Values>& in, const Out& mean, const Out& rstd) {
        const Out y = device.out(t, shape);
        device->batch_norm(device.in(t, shape, in[0]), device.in(t, {c}, in[1]), device.in(t, {c}, in[2]), rule, {}, {}, y,
                           mean, rstd);
        return y;
      };
      Device device(backend(), 0);
      const Out mean = device.out(t, {c}), rstd = device.out(t, {c});
      forward(device, {x, gamma, beta}, mean, rstd);
      const Out dx = device.out(t, shape), dgamma = device.out(t, {c}), dbeta = device.out(t, {c});
      device->batch_norm_backward(device.in(t, shape, x), device.in(t, {c}, gamma), relu ? device.in(t, {c}, beta) : In{},
                                  mean, rstd, device.in(t, shape, dy), dx, dgamma, dbeta);
      const auto loss = [&](const std::vector<Values>& in) {
        Device other(backend(), 0);
        const Out y = forward(other, in, other.out(t, {c}), other.out(t, {c}));
        return dot(values_of(other, y), dy);
      };
      expect_gradients({x, gamma, beta}, {values_of(device, dx), values_of(device, dgamma), values_of(device, dbeta)}, loss);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, BatchNorm, testing::ValuesIn(devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, BatchNormInF64, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
