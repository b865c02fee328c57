#pragma once
#include <vector_types.h>

#include <cstdint>
#include <source_location>

#include "base/error.h"

namespace alma {

/// The blocks of a launch. Converts from a dim3 or a number of blocks and remembers where the launch stands in the source,
/// for error messages.
struct Grid {
  dim3 blocks;
  std::source_location site;

  Grid(dim3 size, std::source_location where = std::source_location::current()) : blocks(size), site(where) {}
  Grid(std::int64_t x, std::source_location where = std::source_location::current())
      : blocks(static_cast<unsigned>(x)), site(where) {
    if (x < 1 || x > max_x) fail("[launch] a grid has 1 to ", max_x, " blocks, got ", x);
  }

  static constexpr std::int64_t max_x = 0x7fffffff;
};

/// ceil(work / share): how many blocks of `share` items cover `work`.
constexpr std::int64_t blocks_for(std::int64_t work, std::int64_t share) { return (work + share - 1) / share; }

}  // namespace alma
