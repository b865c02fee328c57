#include "engine/context.h"

#include "kernels/open_backend.h"

namespace alma {

Context::Context(const std::string& device, int threads)
    : pool_(make_thread_pool(threads)), backend_(open_backend(device, {pool_.get()})), allocator_(*backend_) {}

}  // namespace alma
