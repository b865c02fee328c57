#pragma once
#include <memory>

#include "base/thread_pool.h"
#include "gelu_primitive.h"

/// On the processor. `pool` outlives it.
std::unique_ptr<GeluPrimitive> make_cpu_gelu(alma::ThreadPool& pool);
