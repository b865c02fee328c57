#pragma once
#include <cstddef>
#include <string>

namespace alma::bench {

/// The loops behind the ceilings, for one instruction-set level.
struct CeilingLoops {
  /// Does `rounds` rounds of independent f32 multiply-adds in registers. Returns their FLOPs.
  double (*multiply_add)(std::size_t rounds);
  /// Copies `bytes`, a multiple of 256, from aligned to aligned memory.
  void (*copy)(const void* source, void* target, std::size_t bytes);
  /// Multiplies the floats in `bytes`, a multiple of 256, of aligned memory by one.
  void (*update)(void* data, std::size_t bytes);
};

/// `level` as in BackendInfo: x86-64-v4, x86-64-v3; anything else gets the loops that every processor can run.
CeilingLoops ceiling_loops(const std::string& level);

}  // namespace alma::bench
