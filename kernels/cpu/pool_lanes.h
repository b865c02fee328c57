#pragma once
#include "kernels/backend.h"
#include "kernels/cpu/lanes.h"

namespace alma {

/// Pooling of images in lanes16; see Backend. The arguments have been checked.
void max_pool_lanes(ThreadPool* pool, const In& x, const PoolWindow& window, const Out& y, const Out& place);
void max_pool_lanes_backward(ThreadPool* pool, const In& dy, const In& place, const PoolWindow& window, const Out& dx);
void adaptive_average_pool_lanes(ThreadPool* pool, const In& x, const Out& y);
void adaptive_average_pool_lanes_backward(ThreadPool* pool, const In& dy, const Out& dx);

}  // namespace alma
