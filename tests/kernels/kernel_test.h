#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/open_backend.h"
#include "tests/tolerances.h"

namespace alma::test {

using Values = std::vector<double>;

/// Sizes at which tiles, vectors and warps end.
inline const std::vector<std::int64_t> ragged_sizes = {0, 1, 2, 31, 32, 33, 127, 257};

/// The devices that can run here, as given to open_backend: every cpu level of this processor, cuda-sim and cuda if there.
std::vector<std::string> devices();
/// Those of them that compute in f64, and the others: for tests that need the one or the other.
std::vector<std::string> cpu_devices();
std::vector<std::string> cuda_devices();
std::string device_test_name(const testing::TestParamInfo<std::string>& info);

/// Numbers of this type between low and high; the same for the same purpose and count.
Values uniform(std::string_view purpose, std::int64_t count, DType dtype = DType::f32, double low = -1, double high = 1);
/// `value` as an element of this type holds it.
double rounded(double value, DType dtype);

/// One backend, and the arrays of one run on it. Every array lies between two guard bands; outputs are NaN before (integers:
/// a value that no primitive writes).
class Device {
 public:
  /// `offset`: elements by which every array is moved off its 256-byte boundary, like an interior view.
  Device(Backend& backend, int offset) : backend_(backend), offset_(offset) {}
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Backend* operator->() { return &backend_; }
  In in(DType dtype, const Shape& shape, const Values& values);
  Out out(DType dtype, const Shape& shape);
  /// An output that holds something before: accumulated, or an input as well.
  Out in_out(DType dtype, const Shape& shape, const Values& values);
  const StepState* step_state(const StepState& state);

  /// The bytes of every output, in the order made, after a check of all guard bands.
  std::vector<std::vector<std::uint8_t>> outputs();
  /// The same as numbers.
  std::vector<Values> output_values();

 private:
  struct Block {
    std::uint8_t* memory;
    std::size_t begin, bytes, total;
    bool is_output;
  };
  Out place(DType dtype, const Shape& shape, const Values& values, bool is_output);

  Backend& backend_;
  int offset_;
  std::vector<Block> blocks_;
  std::vector<DType> output_types_;
};

/// What a plain loop gives: per element the value, the largest number on the way to it, and what its roundings come to on
/// average (for the tolerance).
struct Expected {
  std::vector<long double> values, largest, typical_errors;

  void add(long double value) { add(value, std::fabs(value)); }
  void add(long double value, long double largest_number, long double typical_error = 0) {
    values.push_back(value);
    largest.push_back(largest_number);
    typical_errors.push_back(typical_error);
  }
};

/// A plain sum in the type T.
template <class T>
struct PlainSum {
  T value = 0, largest = 0;  // largest: of a term or of the sum so far
  T squares = 0;             // of the sums so far

  void add(T term) {
    value += term;
    largest = std::max({largest, std::fabs(term), std::fabs(value)});
    squares += value * value;
  }
  /// Each addition errs by up to half a unit in the last place of its result, evenly spread: 1 / sqrt(12) units on average.
  T typical_error() const { return std::numeric_limits<T>::epsilon() * std::sqrt(squares / 12); }
  /// This sum times `factor` as an element.
  void add_to(Expected& expected, T factor = 1) const {
    expected.add(value * factor, largest * std::fabs(factor), typical_error() * std::fabs(factor));
  }
};

/// Tests of one primitive over all devices.
class KernelTest : public testing::TestWithParam<std::string> {
 public:
  bool is_cpu() const { return GetParam().starts_with("cpu"); }
  std::vector<DType> float_types() const { return is_cpu() ? std::vector{DType::f32, DType::f64} : std::vector{DType::f32}; }
  /// A backend of this device whose pool has so many threads; 0: no pool. Made once per program.
  Backend& backend(int threads = 0);

  /// Runs `body` without a pool, again, with pools of 1, 2 and 3 threads, and without a pool on arrays that are off their
  /// alignment; all must give the same bits. Returns the outputs of the first run.
  std::vector<Values> run(const std::function<void(Device&)>& body);
  /// The primitive refuses what `body` asks of it, by name, and says what it was given.
  void expect_error(const char* primitive, const char* found, const std::function<void(Device&)>& body);
};

/// Element by element within tolerance(dtype, error of plain, term); NaN where the truth is NaN. Names the worst element.
void compare(const Values& actual, DType dtype, const Expected& truth, const Expected& plain);

/// actual against `reference`, a generic lambda that computes with plain loops in the type it is given and returns Expected:
/// once in the next wider type (the truth) and once in dtype itself (what a plain loop would err). See tolerances.h.
template <class Reference>
void expect_matches(const Values& actual, DType dtype, const Reference& reference) {
  if (dtype == DType::f32) {
    compare(actual, dtype, reference(double{}), reference(float{}));
  } else {
    compare(actual, dtype, reference(static_cast<long double>(0)), reference(double{}));
  }
}

/// Integers: equal.
void expect_equal(const Values& actual, const Values& expected);

/// The message of the Error that `body` throws; fails the test if there is none.
std::string error_of(const std::function<void()>& body);

}  // namespace alma::test
