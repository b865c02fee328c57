#include "engine/captured.h"

namespace alma {

Captured::~Captured() {
  graph_.reset();
  context_.allocator().dissolve(pool_);
}

void Captured::do_in_pool(const std::function<void()>& work) {
  struct Leave {
    Allocator& allocator;
    ~Leave() { allocator.use_pool(nullptr); }
  };
  {
    context_.allocator().use_pool(&pool_);
    const Leave leave{context_.allocator()};
    work();
  }
  if (pool_.tensors != 0) fail("[capture] ", pool_.tensors, " tensors that the work has made outlive it");
}

void Captured::run(const std::function<void()>& work) {
  if (!warm_) {
    do_in_pool(work);
    warm_ = true;
    return;
  }
  if (graph_ != nullptr) {
    context_.add_cost(cost_);
  } else {
    const CostScope scope(context_);
    pool_.sealed = true;
    graph_ = context_.backend().capture([&] { do_in_pool(work); });
    cost_ = scope.cost();
  }
  graph_->replay();
}

}  // namespace alma
