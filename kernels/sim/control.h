#pragma once
#include <cstdint>

/// What tests may ask of the simulator and change in it. In libalma_cuda_sim.so these are exported C symbols; the setting
/// holds for the whole process. ALMA_SIM_ORDER=sequential | reverse | random[:seed] sets the order at the start.
extern "C" {

/// The order in which threads of a block and blocks of a grid get to run. Correct kernels give the same bits in all.
enum AlmaSimOrder { alma_sim_sequential = 0, alma_sim_reverse = 1, alma_sim_random = 2 };
void alma_sim_set_order(AlmaSimOrder order, std::uint64_t seed);

/// Kernels launched so far, products included.
std::uint64_t alma_sim_launches();

/// From now on cuBLASLt knows no algorithm for epilogues with a mask or a bias gradient, as may happen with a real one.
void alma_sim_plain_products_only(bool only);
}

namespace alma::sim {

struct Schedule {
  AlmaSimOrder order = alma_sim_sequential;
  std::uint64_t seed = 1;
};
Schedule schedule();
void count_launch();
bool plain_products_only();

}  // namespace alma::sim
