#pragma once
#include <cstdint>

namespace alma {

/// The number of rows that a loss is the mean over. A batch that is cut into parts, such as micro-batches or those of
/// several processes, has the losses and gradients of its parts added up: each is given the rows of the whole batch.
struct MeanOver {
  std::int64_t rows = 0;  // 0: its own
};

}  // namespace alma
