#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace alma::bench {

/// The memory accesses of a benchmark's kernels, as cuda-sim counts them: see AlmaSimKernel in kernels/sim/control.h.
class Counters {
 public:
  /// Starts counting, until end(). Returns false and does nothing if this benchmark has been counted already, since Google
  /// Benchmark runs it several times.
  bool begin(const std::string& benchmark);
  /// `minimum`: the bytes that the work must move.
  void end(double minimum);
  /// A list of {"name", "minimum", "kernels": [{"name", "launches", "block_threads", "dynamic_shared", "read", "written",
  /// "distinct_read", "distinct_written", "barriers", "warp_operations", "accesses": [..]}]}.
  const nlohmann::ordered_json& all() const { return all_; }

 private:
  nlohmann::ordered_json all_ = nlohmann::ordered_json::array();
  std::set<std::string> begun_;
};

}  // namespace alma::bench
