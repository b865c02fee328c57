#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

/// The update rules as PyTorch's documentation writes them (torch.optim.SGD, Adadelta, Adam, AdamW, RMSprop), one element at
/// a time. w: weight, g: gradient, s0 and s1: states, t: 1 for the first step.
template <class T>
struct Element {
  T w, s0 = 0, s1 = 0;

  void step(const SgdRule& rule, T g, T lr, int t) {
    g += static_cast<T>(rule.weight_decay) * w;
    if (rule.momentum != 0) {
      s0 = t == 1 ? g : static_cast<T>(rule.momentum) * s0 + g;
      g = rule.nesterov ? g + static_cast<T>(rule.momentum) * s0 : s0;
    }
    w -= lr * g;
  }
  void step(const AdadeltaRule& rule, T g, T lr, int) {
    const T rho = static_cast<T>(rule.rho), epsilon = static_cast<T>(rule.epsilon);
    g += static_cast<T>(rule.weight_decay) * w;
    s0 = s0 * rho + g * g * (1 - rho);
    const T delta = std::sqrt(s1 + epsilon) / std::sqrt(s0 + epsilon) * g;
    s1 = s1 * rho + delta * delta * (1 - rho);
    w -= lr * delta;
  }
  void step(const AdamRule& rule, T g, T lr, int t) {
    const T beta1 = static_cast<T>(rule.beta1), beta2 = static_cast<T>(rule.beta2),
            decay = static_cast<T>(rule.weight_decay);
    if (rule.decoupled) {
      w -= lr * decay * w;
    } else {
      g += decay * w;
    }
    s0 = beta1 * s0 + (1 - beta1) * g;
    s1 = beta2 * s1 + (1 - beta2) * g * g;
    const T first = s0 / (1 - std::pow(beta1, static_cast<T>(t))), second = s1 / (1 - std::pow(beta2, static_cast<T>(t)));
    w -= lr * first / (std::sqrt(second) + static_cast<T>(rule.epsilon));
  }
  void step(const RmspropRule& rule, T g, T lr, int) {
    const T alpha = static_cast<T>(rule.alpha);
    g += static_cast<T>(rule.weight_decay) * w;
    s0 = alpha * s0 + (1 - alpha) * g * g;
    const T scaled = g / (std::sqrt(s0) + static_cast<T>(rule.epsilon));
    s1 = static_cast<T>(rule.momentum) * s1 + scaled;
    w -= lr * (rule.momentum > 0 ? s1 : scaled);
  }
};

class Optimizer : public KernelTest {
 public:
  /// Slots of these sizes through `steps` steps with a learning rate that falls; weights and states are compared.
  template <class Rule>
  void check(const Rule& rule, double lr, const std::vector<std::int64_t>& sizes, int steps, bool state0, bool state1) {
    for (DType dtype : float_types()) {
      SCOPED_TRACE(name_of(dtype));
      const auto rate = [&](int t) { return lr / (1 + 0.01 * t); };
      const auto gradient = [&](std::int64_t n, int t) { return uniform("gradient" + std::to_string(t), n, dtype); };
      const std::vector<Values> outputs = run([&](Device& device) {
        std::vector<OptimizerSlot> slots;
        for (std::int64_t n : sizes) {
          const Values zero(static_cast<std::size_t>(n), 0.0);
          OptimizerSlot slot;
          slot.weight = device.in_out(dtype, {n}, uniform("weight", n, dtype));
          if (state0) slot.state0 = device.in_out(dtype, {n}, zero);
          if (state1) slot.state1 = device.in_out(dtype, {n}, zero);
          slots.push_back(slot);
        }
        for (int t = 0; t < steps; ++t) {
          for (std::size_t i = 0; i < sizes.size(); ++i)
            slots[i].gradient = device.in(dtype, {sizes[i]}, gradient(sizes[i], t));
          device->optimize(slots, rule, device.step_state({t, rate(t)}));
        }
      });
      std::size_t output = 0;
      for (std::int64_t n : sizes) {
        for (int which = 0; which < 1 + state0 + state1; ++which) {
          expect_close(outputs[output++], dtype, [&](auto type) {
            using T = decltype(type);
            const Values start = uniform("weight", n, dtype);
            std::vector<Element<T>> elements;
            for (double w : start) elements.push_back({static_cast<T>(w)});
            for (int t = 0; t < steps; ++t) {
              const Values g = gradient(n, t);
              for (std::size_t i = 0; i < elements.size(); ++i)
                elements[i].step(rule, static_cast<T>(g[i]), static_cast<T>(rate(t)), t + 1);
            }
            // Every step rounds again, and independent roundings grow with the root of their number.
            const T growth = std::sqrt(static_cast<T>(steps));
            Expected expected;
            for (const Element<T>& e : elements)
              expected.add(which == 0 ? e.w : which == 1 ? e.s0 : e.s1, growth * std::max(std::fabs(e.w), T(1)));
            return expected;
          });
        }
      }
    }
  }

 private:
  /// f32 as always; f64 to 1e-12.
  template <class Reference>
  void expect_close(const Values& actual, DType dtype, const Reference& reference) {
    expect_matches(actual, dtype, reference);
    if (dtype != DType::f64) return;
    const Expected truth = reference(static_cast<long double>(0));
    for (std::size_t i = 0; i < actual.size(); ++i)
      EXPECT_NEAR(actual[i], static_cast<double>(truth.values[i]), tolerance::optimizer_f64) << "element " << i;
  }
};

const std::vector<std::int64_t> kFew = {7, 0, 33};

TEST_P(Optimizer, SgdFollowsPyTorch) {
  check(SgdRule{}, 0.1, kFew, 100, false, false);
  check(SgdRule{0, 0.01, false}, 0.1, kFew, 100, false, false);
  check(SgdRule{0.9, 0, false}, 0.1, kFew, 100, true, false);
  check(SgdRule{0.9, 0.01, false}, 0.1, kFew, 100, true, false);
  check(SgdRule{0.9, 0.01, true}, 0.1, kFew, 100, true, false);
}

TEST_P(Optimizer, AdadeltaFollowsPyTorch) {
  check(AdadeltaRule{}, 1.0, kFew, 100, true, true);
  check(AdadeltaRule{0.95, 1e-7, 0.01}, 0.5, kFew, 100, true, true);
}

TEST_P(Optimizer, AdamFollowsPyTorch) {
  check(AdamRule{}, 1e-2, kFew, 100, true, true);
  check(AdamRule{0.8, 0.99, 1e-6, 0.1, false}, 1e-2, kFew, 100, true, true);
  check(AdamRule{0.9, 0.999, 1e-8, 0.1, true}, 1e-2, kFew, 100, true, true);
}

TEST_P(Optimizer, RmspropFollowsPyTorch) {
  check(RmspropRule{}, 1e-2, kFew, 100, true, false);
  check(RmspropRule{0.9, 1e-6, 0.1, 0}, 1e-2, kFew, 100, true, false);
  check(RmspropRule{0.9, 1e-8, 0.1, 0.9}, 1e-2, kFew, 100, true, true);
}

TEST_P(Optimizer, RaggedAndLargeSlotsInOneCall) {
  std::vector<std::int64_t> sizes = ragged_sizes;
  sizes.push_back(50021);
  check(SgdRule{0.9, 0.01, true}, 0.1, sizes, 2, true, false);
  check(AdadeltaRule{}, 1.0, sizes, 2, true, true);
  check(AdamRule{}, 1e-2, sizes, 2, true, true);
  check(RmspropRule{.momentum = 0.9}, 1e-2, sizes, 2, true, true);
}

TEST_P(Optimizer, NoSlotsIsNothing) {
  Device device(backend(), 0);
  const StepState* state = device.step_state({});
  for (const OptimizerRule& rule :
       {OptimizerRule{SgdRule{}}, OptimizerRule{AdadeltaRule{}}, OptimizerRule{AdamRule{}}, OptimizerRule{RmspropRule{}}})
    device->optimize({}, rule, state);
}

/// One step by hand: w = 1, g = 0.5.
TEST_P(Optimizer, FirstStepsInClosedForm) {
  const std::vector<Values> outputs = run([&](Device& device) {
    const DType t = DType::f32;
    const In g = device.in(t, {1}, {0.5});
    const StepState* state = device.step_state({0, 0.25});
    const auto slot = [&] {
      return OptimizerSlot{device.in_out(t, {1}, {1}), g, device.in_out(t, {1}, {0}), device.in_out(t, {1}, {0})};
    };
    const OptimizerSlot a = slot(), b = slot(), c = slot(), d = slot();
    device->optimize({&a, 1}, SgdRule{0.5, 0, true}, state);
    device->optimize({&b, 1}, AdadeltaRule{}, state);
    device->optimize({&c, 1}, AdamRule{.weight_decay = 0.5, .decoupled = true}, state);
    device->optimize({&d, 1}, RmspropRule{.alpha = 0.75, .weight_decay = 1, .momentum = 0.5}, state);
  });
  EXPECT_NEAR(outputs[0][0], 1 - 0.25 * (0.5 + 0.5 * 0.5), 1e-7);
  EXPECT_NEAR(outputs[3][0], 1 - 0.25 * std::sqrt(1e-6) / std::sqrt(0.1 * 0.25 + 1e-6) * 0.5, 1e-7);
  EXPECT_NEAR(outputs[6][0], 1 - 0.25 * 0.5 - 0.25, 1e-6);  // the first Adam step is lr in the gradient's direction
  // The gradient with the decay is 1.5, and its root mean square sqrt(1 - alpha) of that.
  EXPECT_NEAR(outputs[9][0], 1 - 0.25 / std::sqrt(0.25), 1e-6);
  EXPECT_NEAR(outputs[10][0], 0.25 * 1.5 * 1.5, 1e-6);
  EXPECT_NEAR(outputs[11][0], 2, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(On, Optimizer, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
