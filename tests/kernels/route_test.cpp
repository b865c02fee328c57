#include "tests/kernels/central_difference.h"

namespace alma::test {
namespace {

struct Sizes {
  std::int64_t tokens, experts, capacity;
};

Routes routes_on(Device& device, DType dtype, const Sizes& s) {
  return {device.out(dtype, {s.tokens, s.experts}),
          device.out(DType::i32, {s.tokens}),
          device.out(dtype, {s.tokens}),
          device.out(DType::i32, {s.tokens}),
          device.out(DType::i32, {s.experts, s.capacity}),
          device.out(DType::i32, {s.experts}),
          device.out(dtype, {s.experts}),
          device.out(dtype, {})};
}

/// The choices, by plain loops.
struct Choices {
  Values expert, position, slots, counts;

  Choices(const Values& logits, const Sizes& s)
      : slots(static_cast<std::size_t>(s.experts * s.capacity), -1), counts(static_cast<std::size_t>(s.experts), 0) {
    for (std::int64_t t = 0; t < s.tokens; ++t) {
      std::int64_t best = 0;
      for (std::int64_t e = 1; e < s.experts; ++e)
        if (logits[static_cast<std::size_t>(t * s.experts + e)] > logits[static_cast<std::size_t>(t * s.experts + best)])
          best = e;
      const auto place = static_cast<std::int64_t>(counts[static_cast<std::size_t>(best)]++);
      expert.push_back(static_cast<double>(best));
      position.push_back(place < s.capacity ? static_cast<double>(place) : -1);
      if (place < s.capacity) slots[static_cast<std::size_t>(best * s.capacity + place)] = static_cast<double>(t);
    }
  }
};

class Route : public KernelTest {
 public:
  void check(DType dtype, const Sizes& s);
  void check_backward(DType dtype, const Sizes& s);
};

// Logits are multiples of 1/2, so that there are many ties.
Values logits_of(const Sizes& s) {
  Values logits = uniform("logits", s.tokens * s.experts, DType::f32, -4, 4);
  for (double& logit : logits) logit = std::round(2 * logit) / 2;
  return logits;
}

void Route::check(DType dtype, const Sizes& s) {
  SCOPED_TRACE(testing::Message() << s.tokens << " tokens, " << s.experts << " experts, capacity " << s.capacity << " "
                                  << name_of(dtype));
  const Values logits = logits_of(s);
  const std::vector<Values> outputs = run([&](Device& device) {
    device->route_top1(device.in(dtype, {s.tokens, s.experts}, logits), routes_on(device, dtype, s));
  });
  const Choices choices(logits, s);
  const auto probabilities = [&](auto type) {
    using T = decltype(type);
    std::vector<T> all;
    for (std::int64_t t = 0; t < s.tokens; ++t) {
      const auto begin = logits.begin() + t * s.experts, end = begin + s.experts;
      const T max = static_cast<T>(*std::max_element(begin, end));
      T sum = 0;
      for (auto logit = begin; logit != end; ++logit) sum += std::exp(static_cast<T>(*logit) - max);
      for (auto logit = begin; logit != end; ++logit) all.push_back(std::exp(static_cast<T>(*logit) - max) / sum);
    }
    return all;
  };
  expect_matches(outputs[0], dtype, [&](auto type) {
    Expected expected;
    for (const auto p : probabilities(type)) expected.add(p);
    return expected;
  });
  expect_equal(outputs[1], choices.expert);
  Values gates;
  for (std::int64_t t = 0; t < s.tokens; ++t)
    gates.push_back(outputs[0][static_cast<std::size_t>(t * s.experts) +
                               static_cast<std::size_t>(choices.expert[static_cast<std::size_t>(t)])]);
  expect_equal(outputs[2], gates);
  expect_equal(outputs[3], choices.position);
  expect_equal(outputs[4], choices.slots);
  expect_equal(outputs[5], choices.counts);
  const auto statistics = [&](auto type, bool want_balance) {
    using T = decltype(type);
    const T tokens = static_cast<T>(s.tokens);
    const std::vector<T> p = probabilities(type);
    Expected importance, result;
    PlainSum<T> balance;
    for (std::int64_t e = 0; e < s.experts; ++e) {
      PlainSum<T> sum;
      for (std::int64_t t = 0; t < s.tokens; ++t) {
        const T value = p[static_cast<std::size_t>(t * s.experts + e)];
        sum.add(value);
        balance.add(value * static_cast<T>(choices.counts[static_cast<std::size_t>(e)]));
      }
      sum.add_to(importance, s.tokens == 0 ? T(0) : 1 / tokens);
    }
    balance.add_to(result, s.tokens == 0 ? T(0) : static_cast<T>(s.experts) / (tokens * tokens));
    return want_balance ? result : importance;
  };
  expect_matches(outputs[6], dtype, [&](auto type) { return statistics(type, false); });
  expect_matches(outputs[7], dtype, [&](auto type) { return statistics(type, true); });
}

void Route::check_backward(DType dtype, const Sizes& s) {
  SCOPED_TRACE(testing::Message() << "backward, " << s.tokens << " tokens, " << s.experts << " experts " << name_of(dtype));
  const Choices choices(logits_of(s), s);
  const Values p = uniform("probabilities", s.tokens * s.experts, dtype, 0, 1), dgate = uniform("dgate", s.tokens, dtype);
  const Values dbalance = uniform("dbalance", 1, dtype);
  for (const int given : {1, 2, 3}) {  // dgate, dbalance, both
    const std::vector<Values> outputs = run([&](Device& device) {
      const In gate = device.in(dtype, {s.tokens}, dgate), balance = device.in(dtype, {}, dbalance);
      device->route_top1_backward(device.in(dtype, {s.tokens, s.experts}, p),
                                  device.in(DType::i32, {s.tokens}, choices.expert),
                                  device.in(DType::i32, {s.experts}, choices.counts), (given & 1) != 0 ? gate : In{},
                                  (given & 2) != 0 ? balance : In{}, device.out(dtype, {s.tokens, s.experts}));
    });
    expect_matches(outputs[0], dtype, [&](auto type) {
      using T = decltype(type);
      const T tokens = static_cast<T>(s.tokens);
      Expected expected;
      for (std::int64_t t = 0; t < s.tokens; ++t) {
        const auto value = [&](std::int64_t e) { return static_cast<T>(p[static_cast<std::size_t>(t * s.experts + e)]); };
        const auto gradient = [&](std::int64_t e) {
          T g = 0;
          if ((given & 1) != 0 && e == choices.expert[static_cast<std::size_t>(t)])
            g = static_cast<T>(dgate[static_cast<std::size_t>(t)]);
          if ((given & 2) != 0)
            g += static_cast<T>(dbalance[0]) * static_cast<T>(s.experts) *
                 static_cast<T>(choices.counts[static_cast<std::size_t>(e)]) / tokens / tokens;
          return g;
        };
        PlainSum<T> sum;
        for (std::int64_t e = 0; e < s.experts; ++e) sum.add(value(e) * gradient(e));
        for (std::int64_t e = 0; e < s.experts; ++e)
          expected.add(value(e) * (gradient(e) - sum.value), value(e) * std::max(std::fabs(gradient(e)), sum.largest),
                       value(e) * sum.typical_error());
      }
      return expected;
    });
  }
}

// Idle experts, one expert, no capacity, as much as there are tokens.
TEST_P(Route, EveryNumberOfTokensUpTo300) {
  const std::vector<std::int64_t> experts = {1, 2, 5, 16, 17, 32, 33, 130};
  for (std::int64_t tokens = 0; tokens <= 300; ++tokens) {
    const std::int64_t e = experts[static_cast<std::size_t>(tokens) % experts.size()];
    const std::int64_t capacities[] = {0, 1, (tokens + e - 1) / e, tokens, 2 * tokens + 1};
    check(DType::f32, {tokens, e, capacities[tokens % 5]});
    if (tokens % 16 == 0) check_backward(DType::f32, {tokens, e, 1});
  }
}

TEST_P(Route, ManyTokensAndManyExperts) {
  for (DType dtype : float_types()) {
    check(dtype, {5003, 8, 626});
    check(dtype, {300, 256, 2});
    check(dtype, {130, 1024, 1});
    check_backward(dtype, {5003, 8, 1});
    check_backward(dtype, {33, 1024, 1});
  }
}

TEST_P(Route, NanLogitsLose) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Values> outputs = run([&](Device& device) {
    device->route_top1(device.in(DType::f32, {3, 3}, {nan, 1, 2, nan, nan, nan, 5, nan, 5}),
                       routes_on(device, DType::f32, {3, 3, 3}));
  });
  expect_equal(outputs[1], {2, 0, 0});
  expect_equal(outputs[3], {0, 0, 1});
}

// The whole way back against central differences of sum(gate * u) + v * balance.
TEST(RouteGradient, MatchesCentralDifferences) {
  const Sizes s{23, 5, 3};
  const auto backend = open_backend("cpu", {});
  const Values logits = uniform("spread", s.tokens * s.experts, DType::f64, -2, 2), u = uniform("u", s.tokens, DType::f64);
  constexpr double v = 0.7, step = 1e-6;
  const auto forward = [&](const Values& at) {
    Device device(*backend, 0);
    const Routes routes = routes_on(device, DType::f64, s);
    device->route_top1(device.in(DType::f64, {s.tokens, s.experts}, at), routes);
    return dot(values_of(device, routes.gate), u) + v * values_of(device, routes.balance)[0];
  };
  Device device(*backend, 0);
  const Routes routes = routes_on(device, DType::f64, s);
  device->route_top1(device.in(DType::f64, {s.tokens, s.experts}, logits), routes);
  const Out out = device.out(DType::f64, {s.tokens, s.experts});
  device->route_top1_backward(routes.probabilities, routes.expert, routes.counts, device.in(DType::f64, {s.tokens}, u),
                              device.in(DType::f64, {}, {v}), out);
  const Values dlogits = values_of(device, out);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    Values above = logits, below = logits;
    above[i] += step;
    below[i] -= step;
    EXPECT_NEAR(dlogits[i], (forward(above) - forward(below)) / (2 * step), tolerance::central_difference) << i;
  }
}

TEST_P(Route, Errors) {
  Device device(backend(), 0);
  const In none = device.in(DType::f32, {3, 0}, {});
  EXPECT_EQ(error_of([&] {
              device->route_top1(none, routes_on(device, DType::f32, {3, 0, 1}));
            }),
            "[route_top1] needs 1 to 1024 experts, got logits [3, 0]");
  const In logits = device.in(DType::f32, {3, 2}, Values(6, 0));
  EXPECT_EQ(error_of([&] {
              device->route_top1(logits, routes_on(device, DType::f32, {4, 2, 1}));
            }),
            "[route_top1] probabilities must be f32 [3, 2], got f32 [4, 2]");
}

INSTANTIATE_TEST_SUITE_P(On, Route, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
