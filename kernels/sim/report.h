#pragma once
#include <vector_types.h>

#include <source_location>
#include <string>

/// How the simulator's messages write places in the source and in the grid.
namespace alma::sim {

inline std::string place(const std::source_location& site) {
  const std::string path = site.file_name();
  return path.substr(path.rfind('/') + 1) + ":" + std::to_string(site.line());
}

inline std::string triple(uint3 v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}
inline std::string triple(dim3 v) { return triple(uint3{v.x, v.y, v.z}); }

}  // namespace alma::sim
