#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

Values labels_for(std::int64_t rows, std::int64_t classes) {
  RandomStream random(7, "labels", static_cast<std::uint64_t>(rows * 10000 + classes));
  Values labels;
  for (std::int64_t i = 0; i < rows; ++i) labels.push_back(random.below(static_cast<std::uint32_t>(classes)));
  return labels;
}

/// outputs: grad, loss, hits; evaluation: loss, hits.
class CrossEntropy : public KernelTest {
 public:
  std::vector<Values> train(DType dtype, std::int64_t rows, std::int64_t classes, const Values& logits, const Values& labels,
                            double scale) {
    return run([&](Device& device) {
      const Out grad = device.out(dtype, {rows, classes}), loss = device.out(dtype, {}), hits = device.out(DType::i32, {});
      device->softmax_cross_entropy(device.in(dtype, {rows, classes}, logits), device.in(DType::i32, {rows}, labels), scale,
                                    grad, loss, hits);
    });
  }
  std::vector<Values> evaluate(DType dtype, std::int64_t rows, std::int64_t classes, const Values& logits,
                               const Values& labels, double scale) {
    return run([&](Device& device) {
      const Out loss = device.out(dtype, {}), hits = device.out(DType::i32, {});
      device->softmax_cross_entropy(device.in(dtype, {rows, classes}, logits), device.in(DType::i32, {rows}, labels), scale,
                                    {}, loss, hits);
    });
  }

  void check(std::int64_t rows, std::int64_t classes) {
    const double scale = 0.25;
    for (DType dtype : float_types()) {
      SCOPED_TRACE(testing::Message() << rows << " x " << classes << " " << name_of(dtype));
      const Values logits = uniform("logits", rows * classes, dtype, -6, 6), labels = labels_for(rows, classes);
      const std::vector<Values> outputs = train(dtype, rows, classes, logits, labels, scale);
      double hits = 0;
      const auto reference = [&](auto type, bool want_loss) {
        using T = decltype(type);
        Expected grad, loss;
        PlainSum<T> total;
        hits = 0;
        for (std::int64_t row = 0; row < rows; ++row) {
          const auto begin = logits.begin() + row * classes, end = begin + classes;
          const auto label = static_cast<std::int64_t>(labels[static_cast<std::size_t>(row)]);
          const auto best = std::max_element(begin, end);
          const T max = static_cast<T>(*best);
          hits += best - begin == label;
          T sum = 0;
          for (auto it = begin; it != end; ++it) sum += std::exp(static_cast<T>(*it) - max);
          const T below = static_cast<T>(begin[label]) - max;
          total.add(std::log(sum) - below);
          // log(sum) is no more exact than the sum, which is 1 or more.
          total.largest = std::max({total.largest, std::fabs(below), std::log(sum), T(1)});
          for (std::int64_t j = 0; j < classes; ++j) {
            const T p = std::exp(static_cast<T>(begin[j]) - max) / sum;
            grad.add((j == label ? p - 1 : p) * T(scale), (j == label ? T(1) : p) * T(scale));
          }
        }
        total.add_to(loss, T(scale));
        return want_loss ? loss : grad;
      };
      expect_matches(outputs[0], dtype, [&](auto type) { return reference(type, false); });
      expect_matches(outputs[1], dtype, [&](auto type) { return reference(type, true); });
      expect_equal(outputs[2], {hits});
      const std::vector<Values> evaluated = evaluate(dtype, rows, classes, logits, labels, scale);
      expect_matches(evaluated[0], dtype, [&](auto type) { return reference(type, true); });
      expect_equal(evaluated[1], {hits});
    }
  }
};

TEST_P(CrossEntropy, RaggedSizes) {
  for (const std::int64_t rows : {0, 1, 2, 15, 16, 17, 33, 128})
    for (const std::int64_t classes : {1, 2, 10, 31, 33, 64, 65, 257}) check(rows, classes);
}

TEST_P(CrossEntropy, ManyRowsAndManyClasses) {
  check(4099, 10);
  check(67, 5003);
  for (const std::int64_t classes : {1025, 2048, 2049, 8192, 8193}) check(3, classes);
}

TEST_P(CrossEntropy, GradientMayBeTheLogitsAndHitsMayBeLeftOut) {
  for (DType dtype : float_types()) {
    for (const std::int64_t classes : {10, 100}) {
      const Values logits = uniform("logits", 37 * classes, dtype, -3, 3), labels = labels_for(37, classes);
      const std::vector<Values> apart = train(dtype, 37, classes, logits, labels, 1);
      const std::vector<Values> in_place = run([&](Device& device) {
        const Out grad = device.in_out(dtype, {37, classes}, logits), loss = device.out(dtype, {});
        device->softmax_cross_entropy(grad, device.in(DType::i32, {37}, labels), 1, grad, loss, {});
      });
      expect_equal(in_place[0], apart[0]);
      expect_equal(in_place[1], apart[1]);
    }
  }
}

class CrossEntropyInF64 : public CrossEntropy {};

TEST_P(CrossEntropyInF64, GradientMatchesCentralDifferences) {
  const std::int64_t rows = 5, classes = 7;
  Values logits = uniform("logits", rows * classes, DType::f64, -2, 2);
  const Values labels = labels_for(rows, classes);
  const Values grad = train(DType::f64, rows, classes, logits, labels, 0.2)[0];
  Backend& device = backend();
  const auto loss_at = [&](const Values& at) {
    Device arrays(device, 0);
    const Out loss = arrays.out(DType::f64, {});
    arrays->softmax_cross_entropy(arrays.in(DType::f64, {rows, classes}, at), arrays.in(DType::i32, {rows}, labels), 0.2, {},
                                  loss, {});
    double value = 0;
    device.download(loss.data, &value, sizeof value);
    return value;
  };
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double step = 1e-6;
    Values up = logits, down = logits;
    up[i] += step;
    down[i] -= step;
    EXPECT_NEAR((loss_at(up) - loss_at(down)) / (2 * step), grad[i], tolerance::central_difference) << "logit " << i;
  }
}

TEST_P(CrossEntropy, TiesGoToTheLowestIndex) {
  for (const std::int64_t classes : {3, 100}) {
    Values logits(static_cast<std::size_t>(2 * classes), 0.0);
    logits[1] = logits[2] = logits[static_cast<std::size_t>(classes + 1)] = logits[static_cast<std::size_t>(classes + 2)] =
        5;
    expect_equal(evaluate(DType::f32, 2, classes, logits, {1, 2}, 1)[1], {1});
  }
}

TEST_P(CrossEntropy, BadLabelsGiveNan) {
  for (DType dtype : float_types()) {
    for (const std::int64_t classes : {4, 100}) {
      for (const std::int64_t label : {std::int64_t{-2}, classes, std::int64_t{-2147483647}}) {
        const Values logits = uniform("logits", 3 * classes, dtype);
        const std::vector<Values> outputs = train(dtype, 3, classes, logits, {0, static_cast<double>(label), 1}, 1);
        for (std::size_t i = 0; i < outputs[0].size(); ++i)
          EXPECT_EQ(std::isnan(outputs[0][i]), static_cast<std::int64_t>(i) / classes == 1) << "gradient " << i;
        EXPECT_TRUE(std::isnan(outputs[1][0]));
      }
    }
  }
}

TEST_P(CrossEntropy, RowsWithoutALabelAreLeftOut) {
  for (DType dtype : float_types()) {
    for (const std::int64_t classes : {4, 100, 2048, 9000}) {
      Values logits = uniform("logits", 4 * classes, dtype), labels = labels_for(2, classes);
      const auto row = [&](std::int64_t i) {
        return Values(logits.begin() + i * classes, logits.begin() + (i + 1) * classes);
      };
      Values two = row(0);
      for (const double x : row(2)) two.push_back(x);
      const std::vector<Values> expected = train(dtype, 2, classes, two, labels, 0.5);
      logits[static_cast<std::size_t>(3 * classes)] = std::numeric_limits<double>::quiet_NaN();  // of a row left out
      const std::vector<Values> found = train(dtype, 4, classes, logits, {labels[0], -1, labels[1], -1}, 0.5);
      Values gradient = found[0];
      for (const std::int64_t i : {3, 1}) {
        const auto begin = gradient.begin() + i * classes;
        EXPECT_TRUE(std::all_of(begin, begin + classes, [](double g) { return g == 0; })) << "row " << i;
        gradient.erase(begin, begin + classes);
      }
      expect_equal(gradient, expected[0]);
      EXPECT_NEAR(found[1][0], expected[1][0], 1e-5 * std::fabs(expected[1][0]));
      expect_equal(found[2], expected[2]);
      const std::vector<Values> evaluated = evaluate(dtype, 4, classes, logits, {labels[0], -1, labels[1], -1}, 0.5);
      EXPECT_NEAR(evaluated[0][0], expected[1][0], 1e-5 * std::fabs(expected[1][0]));
      expect_equal(evaluated[1], expected[2]);
    }
  }
}

TEST_P(CrossEntropy, ExtremeLogits) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (DType dtype : float_types()) {
    const auto loss = [&](const Values& row, double label) {
      return train(dtype, 1, static_cast<std::int64_t>(row.size()), row, {label}, 1)[1][0];
    };
    EXPECT_EQ(loss({10000, -10000, 0}, 0), 0);
    EXPECT_EQ(loss({10000, -10000, 0}, 1), 20000);
    EXPECT_EQ(loss({0, -infinity, -infinity}, 0), 0);
    EXPECT_EQ(loss({0, -infinity, 1}, 1), infinity);
    EXPECT_TRUE(std::isnan(loss({0, nan, 1}, 0)));
    EXPECT_TRUE(std::isnan(loss({nan, nan, nan}, 0)));
    EXPECT_TRUE(std::isnan(loss({infinity, 0, 1}, 0)));
    EXPECT_TRUE(std::isnan(loss({-infinity, -infinity, -infinity}, 0)));
    Values wide(100, 0.0);
    wide[70] = nan;
    EXPECT_TRUE(std::isnan(loss(wide, 0)));
  }
}

INSTANTIATE_TEST_SUITE_P(On, CrossEntropy, testing::ValuesIn(devices()), device_test_name);
INSTANTIATE_TEST_SUITE_P(On, CrossEntropyInF64, testing::ValuesIn(cpu_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
