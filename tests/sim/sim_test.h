#pragma once
// Toy kernels on the simulator.
#include "kernels/cuda/launch.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/sim/control.h"

namespace alma::test {

/// An array in simulated device memory; new ones are full of 0xff.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    EXPECT_EQ(cudaMemcpyAsync(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice, nullptr), cudaSuccess);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(size_);
    EXPECT_EQ(cudaMemcpyAsync(result.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost, nullptr), cudaSuccess);
    return result;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

/// Runs in each of several orders of threads and blocks.
struct OrderCase {
  const char* name;
  AlmaSimOrder order;
  std::uint64_t seed;
};
inline void PrintTo(const OrderCase& order, std::ostream* out) { *out << order.name; }
inline const std::vector<OrderCase> all_orders = {{"sequential", alma_sim_sequential, 1},
                                                  {"reverse", alma_sim_reverse, 1},
                                                  {"random1", alma_sim_random, 1},
                                                  {"random2", alma_sim_random, 2},
                                                  {"random3", alma_sim_random, 3}};

class SimTest : public testing::TestWithParam<OrderCase> {
 protected:
  void SetUp() override { alma_sim_set_order(GetParam().order, GetParam().seed); }
  void TearDown() override { alma_sim_set_order(alma_sim_sequential, 1); }
};

inline std::string order_name(const testing::TestParamInfo<OrderCase>& info) { return info.param.name; }

/// The message of the Error that `body` throws, and a test failure if it does not.
inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

inline void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

/// `body` throws an Error that says all of this.
inline void expect_report(const std::function<void()>& body, const std::vector<std::string>& parts) {
  const std::string error = error_of(body);
  for (const std::string& part : parts) expect_has(error, part);
}

/// Where the line of this test's source stands that ends in "// MARK": "memcheck_test.cpp:17".
inline std::string place_of(const std::string& mark, std::source_location here = std::source_location::current()) {
  const std::string path = here.file_name(), name = path.substr(path.rfind('/') + 1);
  std::ifstream source(std::string(ALMA_SOURCE_DIR) + "/tests/sim/" + name);
  std::string line;
  for (int number = 1; std::getline(source, line); ++number)
    if (line.ends_with("// " + mark)) return name + ":" + std::to_string(number);
  ADD_FAILURE() << "no line of " << name << " ends in // " << mark;
  return "";
}

/// With some of the simulator's checks on.
class CheckedTest : public SimTest {
 protected:
  virtual unsigned checks() const = 0;
  void SetUp() override {
    SimTest::SetUp();
    alma_sim_set_checks(checks());
  }
  void TearDown() override {
    alma_sim_set_checks(0);
    SimTest::TearDown();
  }
};

}  // namespace alma::test
