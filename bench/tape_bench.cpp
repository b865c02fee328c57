// The cost of the tape per op: a chain of ops on one element is timed alternately with the backend calls that it consists
// of. The counter us_per_op is the difference per recorded op; `share` is the bare calls' part of the time.
#include <algorithm>

#include "bench/bench.h"
#include "engine/autograd.h"
#include "engine/ops_elementwise.h"

namespace alma::bench {

namespace {

constexpr int kRounds = 333, kOps = 3 * kRounds;  // of relu, affine and add

Tensor chain(const Tensor& x, const Tensor& one) {
  Tensor y = x;
  for (int i = 0; i < kRounds; ++i) y = affine(relu(y), 0.5, 0.25) + one;
  return y;
}

/// Memory for the bare calls.
struct Bare {
  explicit Bare(Suite& suite) : backend(suite.context.backend()) {
    for (Out& array : arrays) {
      tensors.push_back(ones(suite, {1}));
      array = tensors.back().out();
    }
  }
  void forward() {
    const auto& [one, x, y, z] = arrays;
    for (int i = 0; i < kRounds; ++i) {
      backend.unary(UnaryOp::relu, x, y);
      backend.affine(y, 0.5, 0.25, z);
      backend.binary(BinaryOp::add, z, one, x);
    }
  }
  // The gradient of an add to equal shapes is the same tensor: no call.
  void backward() {
    const auto& [one, dy, dx, y] = arrays;
    for (int i = 0; i < kRounds; ++i) {
      backend.affine(dy, 0.5, 0, dx);
      backend.binary(BinaryOp::relu_gradient, dx, y, dy);
    }
  }
  Backend& backend;
  std::vector<Tensor> tensors;
  std::array<Out, 4> arrays;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void run(benchmark::State& state, Suite& suite, bool with_backward) {
  Tensor x = ones(suite, {1});
  x.set_requires_grad(true);
  const Tensor one = ones(suite, {1});
  Bare bare(suite);
  Backend& backend = suite.context.backend();
  std::vector<double> tape_times, bare_times;
  const auto tape_once = [&] {
    const Tensor y = chain(x, one);
    if (with_backward) y.backward();
    x.clear_grad();
  };
  tape_once();  // fills the allocator's cache
  for (auto _ : state) {
    const double start = clock_seconds(suite);
    tape_once();
    backend.synchronize();
    const double middle = clock_seconds(suite);
    bare.forward();
    if (with_backward) bare.backward();
    backend.synchronize();
    const double end = clock_seconds(suite);
    tape_times.push_back(middle - start);
    bare_times.push_back(end - middle);
    state.SetIterationTime(middle - start);
  }
  const double on_tape = median(tape_times), without = median(bare_times);
  state.counters["us_per_op"] = (on_tape - without) / kOps * 1e6;
  state.counters["bare_us_per_op"] = without / kOps * 1e6;
  state.counters["share"] = without / on_tape;
}

}  // namespace

void register_tape(Suite& suite) {
  add_manual(suite, "tape/forward/relu_affine_add", [&suite](benchmark::State& state) { run(state, suite, false); });
  add_manual(suite, "tape/forward_backward/relu_affine_add", [&suite](benchmark::State& state) { run(state, suite, true); });
}

}  // namespace alma::bench
