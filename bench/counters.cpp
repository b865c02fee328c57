#include "bench/counters.h"

#include "kernels/sim/opened.h"

namespace alma::bench {

namespace {

using nlohmann::ordered_json;

void set_checks(unsigned checks) { simulator_function<void(unsigned)>("alma_sim_set_checks")(checks); }

ordered_json to_json(const AlmaSimAccess& access) {
  const std::string file = access.file;
  return {{"place", file.substr(file.rfind('/') + 1) + ":" + std::to_string(access.line)},
          {"store", access.is_store != 0},
          {"shared", access.is_shared != 0},
          {"width", access.width},
          {"requests", access.requests},
          {"bytes", access.bytes},
          {"sectors", access.sectors},
          {"wavefronts", access.wavefronts},
          {"conflicts", access.conflicts}};
}

ordered_json to_json(const AlmaSimKernel& kernel) {
  ordered_json accesses = ordered_json::array();
  for (std::size_t i = 0; i < kernel.accesses; ++i) accesses.push_back(to_json(kernel.access[i]));
  return {{"name", kernel.name},
          {"launches", kernel.launches},
          {"block_threads", kernel.block_threads},
          {"dynamic_shared", kernel.dynamic_shared},
          {"read", kernel.bytes_read},
          {"written", kernel.bytes_written},
          {"distinct_read", kernel.distinct_read},
          {"distinct_written", kernel.distinct_written},
          {"barriers", kernel.barriers},
          {"warp_operations", kernel.warp_operations},
          {"accesses", std::move(accesses)}};
}

}  // namespace

bool Counters::begin(const std::string& benchmark) {
  if (!begun_.insert(benchmark).second) return false;
  all_.push_back({{"name", benchmark}});
  simulator_function<void()>("alma_sim_reset_counters")();
  set_checks(alma_sim_counters);
  return true;
}

void Counters::end(double minimum) {
  set_checks(0);
  ordered_json kernels = ordered_json::array();
  const std::size_t count = simulator_function<std::size_t()>("alma_sim_counted_kernels")();
  const auto kernel = simulator_function<AlmaSimKernel(std::size_t)>("alma_sim_counted_kernel");
  for (std::size_t i = 0; i < count; ++i) kernels.push_back(to_json(kernel(i)));
  all_.back()["minimum"] = minimum;
  all_.back()["kernels"] = std::move(kernels);
}

}  // namespace alma::bench
