#include "kernels/sim/control.h"

#include <atomic>
#include <cstdlib>
#include <sstream>
#include <string>

#include "kernels/error.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/stream_order.h"

namespace alma::sim {
namespace {

struct Setting {
  std::atomic<AlmaSimOrder> order{alma_sim_sequential};
  std::atomic<std::uint64_t> seed{1};
  std::atomic<unsigned> checks{0};

  Setting() {
    if (const char* text = std::getenv("ALMA_SIM_ORDER")) set_order(text);
    if (const char* text = std::getenv("ALMA_SIM_CHECK")) set_checks(text);
  }

  void set_order(const std::string& value) {
    const std::string name = value.substr(0, value.find(':'));
    if (name == "reverse") {
      order = alma_sim_reverse;
    } else if (name == "random") {
      order = alma_sim_random;
      if (name.size() < value.size()) seed = std::strtoull(value.c_str() + name.size() + 1, nullptr, 10);
    } else if (name != "sequential" && !name.empty()) {
      fail(ErrorKind::usage, "ALMA_SIM_ORDER must be sequential, reverse or random[:seed], got ", value);
    }
  }

  void set_checks(const std::string& value) {
    const struct {
      const char* name;
      AlmaSimCheck check;
    } known[] = {{"memcheck", alma_sim_memcheck},
                 {"racecheck", alma_sim_racecheck},
                 {"streams", alma_sim_streams},
                 {"counters", alma_sim_counters}};
    std::istringstream names(value);
    for (std::string name; std::getline(names, name, ',');) {
      unsigned found = 0;
      for (const auto& each : known)
        if (name == each.name) found = each.check;
      if (found == 0)
        fail(ErrorKind::usage, "ALMA_SIM_CHECK is a list of memcheck, racecheck, streams and counters, got ", name, " in ",
             value);
      checks = checks | found;
    }
  }
};

Setting& setting() {
  static Setting instance;
  return instance;
}

std::atomic<std::uint64_t> launches{0};

}  // namespace

Schedule schedule() { return {setting().order.load(), setting().seed.load()}; }
void count_launch() { launches.fetch_add(1, std::memory_order_relaxed); }

}  // namespace alma::sim

extern "C" {

__attribute__((visibility("default"))) void alma_sim_set_order(AlmaSimOrder order, std::uint64_t seed) {
  alma::sim::setting().order = order;
  alma::sim::setting().seed = seed;
}

__attribute__((visibility("default"))) void alma_sim_set_checks(unsigned checks) {
  if ((checks & alma_sim_streams) == 0) alma::sim::host_waits_for_all();  // while the streams are still looked after
  if ((checks & alma_sim_memcheck) == 0) alma::sim::stop_memcheck();
  alma::sim::setting().checks = checks;
}

__attribute__((visibility("default"))) unsigned alma_sim_checks() { return alma::sim::setting().checks; }

__attribute__((visibility("default"))) std::uint64_t alma_sim_launches() { return alma::sim::launches.load(); }
}
