// A primitive of one's own with its op, checked on every device that is named on the command line (default: cpu).
//
//   gelu_primitive.h  the contract: what every device's primitive does, on raw memory
//   gelu_cpu.cpp      on the processor
//   gelu.cu           on a GPU, and in the simulator
//   gelu.cpp          the op: opens the device's primitive, puts forward and backward side by side on the tape
//   main.cpp          checks: the value against the formula, the gradient against central differences, both in f64; then
//                     what each device computes in f32 against that
#include <algorithm>
#include <cmath>
#include <iostream>

#include "gelu.h"

using namespace alma;

namespace {

struct Result {
  std::vector<double> value, gradient;
};

/// gelu(x), and the gradient of sum(cotangent * gelu(x)) for x.
template <class T>
Result compute(Context& context, const std::vector<double>& x, const std::vector<double>& cotangent) {
  const Gelu gelu(context);
  const Shape shape{static_cast<std::int64_t>(x.size())};
  Tensor input = Tensor::from(context, shape, std::vector<T>(x.begin(), x.end()));
  input.set_requires_grad(true);
  const Tensor y = gelu(input);
  y.backward(Tensor::from(context, shape, std::vector<T>(cotangent.begin(), cotangent.end())));
  const std::vector<T> value = y.to_vector<T>(), gradient = input.grad().to_vector<T>();
  return {{value.begin(), value.end()}, {gradient.begin(), gradient.end()}};
}

std::vector<double> formula(const std::vector<double>& x, double shift) {
  std::vector<double> y;
  for (const double v : x) y.push_back((v + shift) * 0.5 * std::erfc(-(v + shift) / std::sqrt(2.0)));
  return y;
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= most)) most = std::abs(a[i] - b[i]);  // NaN too
  }
  return most;
}

bool report(const std::string& device, const char* type, double value, double gradient, double allowed) {
  const bool good = value <= allowed && gradient <= allowed;
  std::cout << (good ? "ok      " : "WRONG   ") << device << ' ' << type << "  value within " << value
            << ", gradient within " << gradient << " (allowed " << allowed << ")\n";
  return good;
}

bool check(const std::vector<std::string>& devices) {
  std::vector<double> x, cotangent;  // whole floats, so that f32 and f64 have the same input
  for (int i = -640; i <= 640; ++i) {
    x.push_back(i / 128.0);
    cotangent.push_back((i * i % 97 - 48) / 32.0);
  }
  constexpr double h = 1e-5;
  std::vector<double> slope = formula(x, h);
  const std::vector<double> below = formula(x, -h);
  for (std::size_t i = 0; i < x.size(); ++i) slope[i] = cotangent[i] * (slope[i] - below[i]) / (2 * h);

  Context processor("cpu", 2);
  const Result exact = compute<double>(processor, x, cotangent);
  bool good = report("cpu", "f64", difference(exact.value, formula(x, 0)), difference(exact.gradient, slope), 1e-9);
  for (const std::string& device : devices) {
    Context context(device, 2);
    const Result found = compute<float>(context, x, cotangent);
    good &= report(device, "f32", difference(found.value, exact.value), difference(found.gradient, exact.gradient), 2e-6);
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> devices(argv + 1, argv + argc);
  if (devices.empty()) devices = {"cpu"};
  try {
    return check(devices) ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
