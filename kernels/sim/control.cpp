#include "kernels/sim/control.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "kernels/error.h"

namespace alma::sim {
namespace {

struct Setting {
  std::atomic<AlmaSimOrder> order{alma_sim_sequential};
  std::atomic<std::uint64_t> seed{1};

  Setting() {
    const char* text = std::getenv("ALMA_SIM_ORDER");
    if (text == nullptr || *text == '\0') return;
    const std::string value = text, name = value.substr(0, value.find(':'));
    if (name == "reverse") {
      order = alma_sim_reverse;
    } else if (name == "random") {
      order = alma_sim_random;
      if (name.size() < value.size()) seed = std::strtoull(value.c_str() + name.size() + 1, nullptr, 10);
    } else if (name != "sequential") {
      fail(ErrorKind::usage, "ALMA_SIM_ORDER must be sequential, reverse or random[:seed], got ", value);
    }
  }
};

Setting& setting() {
  static Setting instance;
  return instance;
}

std::atomic<std::uint64_t> launches{0};
std::atomic<bool> plain_products{false};

}  // namespace

Schedule schedule() { return {setting().order.load(), setting().seed.load()}; }
bool plain_products_only() { return plain_products; }
void count_launch() { launches.fetch_add(1, std::memory_order_relaxed); }

}  // namespace alma::sim

extern "C" {

__attribute__((visibility("default"))) void alma_sim_set_order(AlmaSimOrder order, std::uint64_t seed) {
  alma::sim::setting().order = order;
  alma::sim::setting().seed = seed;
}

__attribute__((visibility("default"))) std::uint64_t alma_sim_launches() { return alma::sim::launches.load(); }

__attribute__((visibility("default"))) void alma_sim_plain_products_only(bool only) { alma::sim::plain_products = only; }
}
