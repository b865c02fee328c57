#include "kernels/sim/control.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"

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
std::atomic<bool> plain_products{false};

struct Pretended {
  std::mutex mutex;
  AlmaSimDevice device{CUDART_VERSION, 1, 8, 0, std::size_t{8} << 30};
};
Pretended& pretended() {
  static auto& instance = *new Pretended;
  return instance;
}

struct Notes {
  std::atomic<bool> on{false};
  std::mutex mutex;
  std::vector<std::string> launches;
};
Notes& notes() {
  static auto& instance = *new Notes;
  return instance;
}

}  // namespace

Schedule schedule() { return {setting().order.load(), setting().seed.load()}; }
bool plain_products_only() { return plain_products; }
void store_checks(unsigned checks) { setting().checks = checks; }
bool notes_launches() { return notes().on; }
void count_launch(const std::string& note) {
  launches.fetch_add(1, std::memory_order_relaxed);
  if (!notes_launches()) return;
  const std::lock_guard lock(notes().mutex);
  notes().launches.push_back(note);
}

}  // namespace alma::sim

extern "C" {

__attribute__((visibility("default"))) void alma_sim_set_order(AlmaSimOrder order, std::uint64_t seed) {
  alma::sim::setting().order = order;
  alma::sim::setting().seed = seed;
}

__attribute__((visibility("default"))) unsigned alma_sim_checks() { return alma::sim::setting().checks; }

__attribute__((visibility("default"))) std::uint64_t alma_sim_launches() { return alma::sim::launches.load(); }

__attribute__((visibility("default"))) void alma_sim_note_launches(int on) {
  alma::sim::Notes& notes = alma::sim::notes();
  const std::lock_guard lock(notes.mutex);
  notes.on = on != 0;
  notes.launches.clear();
}

__attribute__((visibility("default"))) std::size_t alma_sim_noted_launches() { return alma::sim::notes().launches.size(); }

__attribute__((visibility("default"))) const char* alma_sim_noted_launch(std::size_t i) {
  return alma::sim::notes().launches.at(i).c_str();
}

__attribute__((visibility("default"))) AlmaSimDevice alma_sim_device() {
  const std::lock_guard lock(alma::sim::pretended().mutex);
  return alma::sim::pretended().device;
}

__attribute__((visibility("default"))) void alma_sim_set_device(AlmaSimDevice device) {
  const std::lock_guard lock(alma::sim::pretended().mutex);
  alma::sim::pretended().device = device;
}

__attribute__((visibility("default"))) void alma_sim_plain_products_only(bool only) { alma::sim::plain_products = only; }
}
