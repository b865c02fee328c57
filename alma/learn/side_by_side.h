#pragma once
#include <vector>

#include "alma/learn/fit.h"
#include "base/thread_pool.h"

namespace alma {

/// Does steps of the unfinished fits on all threads of the pool, for a tenth of a second: fits that train in parallel stop
/// together, so that the run can be saved.
void train_side_by_side(ThreadPool& pool, const std::vector<Fit*>& fits);

}  // namespace alma
