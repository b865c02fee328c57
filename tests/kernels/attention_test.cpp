#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

/// Attention without a matrix of scores; only where the device has it.
class CausalAttention : public KernelTest {
 public:
  struct Case {
    std::int64_t sequences, heads, t, d;
    std::int64_t rows() const { return sequences * t; }
    std::int64_t width() const { return heads * d; }
  };

  void SetUp() override {
    if (backend().has_causal_attention()) return;
    // Nothing to compute: that it says so is what can be tested.
    Backend& device = backend();
    EXPECT_NE(error_of([&] { device.causal_attention({}, 1, 1, {}, {}); }).find("[causal_attention]"), std::string::npos);
    EXPECT_NE(error_of([&] { device.causal_attention_backward({}, {}, {}, {}, 1, 1, {}); }).find("causal_softmax()"),
              std::string::npos);
  }
  bool has_attention() { return backend().has_causal_attention(); }
  void check(DType dtype, const Case& c, double largest);
};

/// One sequence and head, by the definition, in T.
template <class T>
class Plain {
 public:
  Plain(const CausalAttention::Case& size, const Values& qkv, std::int64_t sequence, std::int64_t head)
      : c_(size), qkv_(qkv), sequence_(sequence), head_(head), p_(at(c_.t * c_.t)), log_sums_(at(c_.t)) {
    const T scale = T(1) / std::sqrt(static_cast<T>(c_.d));
    for (std::int64_t i = 0; i < c_.t; ++i) {
      std::vector<T> scores;
      T max = -std::numeric_limits<T>::infinity(), sum = 0;
      for (std::int64_t j = 0; j <= i; ++j) {
        T dot = 0;
        for (std::int64_t k = 0; k < c_.d; ++k) {
          const T term = scale * x(0, i, k) * x(1, j, k);
          dot += term;
          largest_ = std::max({largest_, std::abs(term), std::abs(dot)});
        }
        scores.push_back(dot);
        max = std::max(max, dot);
      }
      for (const T score : scores) sum += std::exp(score - max);
      for (std::int64_t j = 0; j <= i; ++j) p_[at(i * c_.t + j)] = std::exp(scores[at(j)] - max) / sum;
      log_sums_[at(i)] = max + std::log(sum);
    }
  }

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  T x(std::int64_t part, std::int64_t i, std::int64_t k) const {
    return static_cast<T>(qkv_[at(((sequence_ * c_.t + i) * 3 + part) * c_.width() + head_ * c_.d + k)]);
  }
  T of_rows(const Values& rows, std::int64_t i, std::int64_t k) const {
    return static_cast<T>(rows[at((sequence_ * c_.t + i) * c_.width() + head_ * c_.d + k)]);
  }
  T p(std::int64_t i, std::int64_t j) const { return p_[at(i * c_.t + j)]; }
  T log_sum(std::int64_t i) const { return log_sums_[at(i)]; }
  /// The largest number on the way to a score: its units are what a probability is off by, relatively.
  T largest() const { return std::max(T(1), largest_); }
  std::int64_t t() const { return c_.t; }

 private:
  const CausalAttention::Case& c_;
  const Values& qkv_;
  std::int64_t sequence_, head_;
  std::vector<T> p_, log_sums_;
  T largest_ = 0;
};

template <class T>
std::vector<Plain<T>> all_heads(const CausalAttention::Case& c, const Values& qkv) {
  std::vector<Plain<T>> all;
  for (std::int64_t s = 0; s < c.sequences; ++s)
    for (std::int64_t h = 0; h < c.heads; ++h) all.emplace_back(c, qkv, s, h);
  return all;
}

/// Calls element(head, row in its sequence, place in its head) for [sequences * t, parts * heads * d], with the part.
template <class T, class Element>
void for_elements(const CausalAttention::Case& c, const std::vector<Plain<T>>& heads, std::int64_t parts,
                  const Element& element) {
  for (std::int64_t row = 0; row < c.rows(); ++row)
    for (std::int64_t part = 0; part < parts; ++part)
      for (std::int64_t h = 0; h < c.heads; ++h)
        for (std::int64_t k = 0; k < c.d; ++k)
          element(heads[static_cast<std::size_t>(row / c.t * c.heads + h)], part, row % c.t, k);
}

template <class T>
void add(Expected& expected, const PlainSum<T>& sum, T factor, T largest) {
  expected.add(sum.value * factor, sum.largest * factor * largest, sum.typical_error() * factor);
}

void CausalAttention::check(DType dtype, const Case& c, double largest) {
  SCOPED_TRACE(testing::Message() << c.sequences << " x " << c.heads << " x " << c.t << " x " << c.d << " "
                                  << name_of(dtype));
  const Shape rows{c.rows(), c.width()}, three{c.rows(), 3 * c.width()}, sums{c.sequences, c.heads, c.t};
  const Values qkv = uniform("qkv", three.count(), dtype, -largest, largest), dy = uniform("dy", rows.count(), dtype, -1, 1);
  const std::vector<Values> forward = run([&](Device& device) {
    const Out y = device.out(dtype, rows), log_sums = device.out(dtype, sums);
    device->causal_attention(device.in(dtype, three, qkv), c.sequences, c.heads, y, log_sums);
  });
  expect_matches(forward[0], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    for_elements(c, all_heads<T>(c, qkv), 1, [&](const Plain<T>& head, std::int64_t, std::int64_t i, std::int64_t k) {
      PlainSum<T> sum;
      for (std::int64_t j = 0; j <= i; ++j) sum.add(head.p(i, j) * head.x(2, j, k));
      add(expected, sum, T(1), head.largest());
    });
    return expected;
  });
  expect_matches(forward[1], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    for (const Plain<T>& head : all_heads<T>(c, qkv))
      for (std::int64_t i = 0; i < c.t; ++i) expected.add(head.log_sum(i), head.largest() + std::abs(head.log_sum(i)));
    return expected;
  });
  const std::vector<Values> backward = run([&](Device& device) {
    device->causal_attention_backward(device.in(dtype, three, qkv), device.in(dtype, rows, forward[0]),
                                      device.in(dtype, sums, forward[1]), device.in(dtype, rows, dy), c.sequences, c.heads,
                                      device.out(dtype, three));
  });
  expect_matches(backward[0], dtype, [&](auto type) {
    using T = decltype(type);
    const T scale = T(1) / std::sqrt(static_cast<T>(c.d));
    Expected expected;
    for_elements(c, all_heads<T>(c, qkv), 3, [&](const Plain<T>& head, std::int64_t part, std::int64_t at, std::int64_t k) {
      // The gradient of the score of query i and key j.
      T terms = 0;
      const auto dscore = [&](std::int64_t i, std::int64_t j) {
        T dp = 0, delta = 0;
        for (std::int64_t e = 0; e < c.d; ++e) {
          dp += head.of_rows(dy, i, e) * head.x(2, j, e);
          delta += head.of_rows(dy, i, e) * head.of_rows(forward[0], i, e);
        }
        terms = std::max({terms, std::abs(dp), std::abs(delta)});
        return head.p(i, j) * (dp - delta);
      };
      PlainSum<T> sum;
      if (part == 0)
        for (std::int64_t j = 0; j <= at; ++j) sum.add(dscore(at, j) * head.x(1, j, k));
      if (part == 1)
        for (std::int64_t i = at; i < c.t; ++i) sum.add(dscore(i, at) * head.x(0, i, k));
      if (part == 2)
        for (std::int64_t i = at; i < c.t; ++i) sum.add(head.p(i, at) * head.of_rows(dy, i, k));
      const T factor = part == 2 ? T(1) : scale;
      expected.add(sum.value * factor, (sum.largest + (part == 2 ? T(0) : terms)) * factor * head.largest(),
                   sum.typical_error() * factor);
    });
    return expected;
  });
}

TEST_P(CausalAttention, RaggedSizes) {
  if (!has_attention()) return;
  for (const DType dtype : float_types())
    for (const Case& c : {Case{1, 1, 1, 1}, Case{2, 3, 2, 5}, Case{1, 2, 31, 8}, Case{2, 1, 63, 16}, Case{1, 1, 64, 32},
                          Case{1, 2, 65, 7}, Case{3, 2, 0, 4}})
      check(dtype, c, 2);
}

TEST_P(CausalAttention, LongSequencesAndLargeScores) {
  if (!has_attention()) return;
  check(DType::f32, {1, 1, 300, 64}, 1);
  check(DType::f32, {2, 2, 129, 33}, 6);
}

// Without log_sums, as an evaluation asks for it.
TEST_P(CausalAttention, AnEvaluationGivesTheSameBits) {
  if (!has_attention()) return;
  const Shape rows{70, 12}, three{70, 36}, sums{2, 3, 35};
  const Values qkv = uniform("qkv", three.count(), DType::f32, -2, 2);
  std::vector<Values> found;
  for (const bool evaluation : {false, true})
    found.push_back(run([&](Device& device) {
      const Out y = device.out(DType::f32, rows), log_sums = evaluation ? Out{} : device.out(DType::f32, sums);
      device->causal_attention(device.in(DType::f32, three, qkv), 2, 3, y, log_sums);
    })[0]);
  EXPECT_EQ(found[0], found[1]);
}

// Of two keys the one whose score is -2.45e5 counts nothing, and of two such the larger counts all.
TEST_P(CausalAttention, ScoresFarBelowZero) {
  if (!has_attention()) return;
  const Values qkv{500, -500, 1, 500, -490, 3, 0.5, 0, 5};
  const std::vector<Values> y = run([&](Device& device) {
    const Out out = device.out(DType::f32, {3, 1}), log_sums = device.out(DType::f32, {1, 1, 3});
    device->causal_attention(device.in(DType::f32, {3, 3}, qkv), 1, 1, out, log_sums);
  });
  EXPECT_EQ(y[0], (Values{1, 3, 5}));
}

TEST_P(CausalAttention, Errors) {
  if (!has_attention()) return;
  Device device(backend(), 0);
  const In qkv = device.in(DType::f32, {6, 12}, Values(72, 0));
  const Out y = device.in_out(DType::f32, {6, 4}, Values(24, 0)), small = device.in_out(DType::f32, {6, 3}, Values(18, 0));
  EXPECT_EQ(error_of([&] { device->causal_attention(qkv, 4, 2, y, {}); }),
            "[causal_attention] qkv [6, 12] is not [sequences * t, 3 * heads * d] with 4 sequences and 2 heads");
  EXPECT_NE(error_of([&] { device->causal_attention(qkv, 2, 3, y, {}); }).find("3 heads"), std::string::npos);
  EXPECT_NE(error_of([&] { device->causal_attention(qkv, 2, 2, small, {}); }).find("y must be"), std::string::npos);
  EXPECT_NE(error_of([&] { device->causal_attention(qkv, 2, 2, y, small); }).find("log_sums"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(On, CausalAttention, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
