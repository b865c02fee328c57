#pragma once
#include <driver_types.h>

#include "base/thread_pool.h"

namespace alma::sim {

/// Lets the kernels and products of this stream work on `pool`, which must outlive the stream.
void set_pool(cudaStream_t stream, ThreadPool* pool);
/// Null: the calling thread alone. Throws Error for a stream that does not exist.
ThreadPool* pool_of(cudaStream_t stream);

}  // namespace alma::sim
