#include "alma/stacked_fit.h"

#include <algorithm>

#include "engine/ops_shape.h"

namespace alma {

namespace {

using Fits = std::vector<std::unique_ptr<Fit>>;

Fit* first_open(const Fits& fits) {
  const auto open = std::find_if(fits.begin(), fits.end(), [](const auto& fit) { return !fit->done(); });
  return open == fits.end() ? nullptr : open->get();
}

// One thing of each fit.
template <class Of>
auto each(const Fits& fits, Of of) {
  std::vector<decltype(of(*fits[0]))> all;
  for (const auto& fit : fits) all.push_back(of(*fit));
  return all;
}

}  // namespace

bool StackedFit::possible(const Fits& fits) {
  const Fit* first = first_open(fits);
  return std::all_of(fits.begin(), fits.end(),
                     [&](const auto& fit) { return fit->done() || fit->steps() == first->steps(); });
}

StackedFit::StackedFit(Module& model, const Fits& fits)
    : fits_(fits),
      orders_(stack(each(fits, [](Fit& fit) { return &fit.order_; }))),
      losses_(stack(each(fits, [](Fit& fit) { return &fit.losses_; }))),
      optimizer_(each(fits, [](Fit& fit) { return &fit.optimizer_; }), named_parameters(model),
                 first_open(fits) == nullptr ? 0 : first_open(fits)->steps()),
      trainer_(model, optimizer_, fits[0]->images_, each(fits, [](Fit& fit) { return fit.settings_.augmentation; }),
               fits[0]->settings_.graph) {}

bool StackedFit::step() {
  const Fit* lead = first_open(fits_);
  if (lead == nullptr) return false;
  const auto [first, last] = lead->next_samples();
  const std::int64_t k = orders_.dim(0), column = lead->step_;
  const Tensor losses = Tensor::empty(losses_.context(), {k}, DType::f32);
  Cost cost = trainer_.step(slice(orders_, 1, first, last).view({k * (last - first)}), losses);
  const std::size_t size = size_of(DType::f32), row = static_cast<std::size_t>(losses_.dim(1)) * size;
  losses_.backend().copy(losses.in().data, size, losses_.part(column, {}).out().data, row, size,
                         static_cast<std::size_t>(k));
  cost = cost / static_cast<Count>(k);  // of members of equal shapes
  for (const auto& fit : fits_)
    if (!fit->done()) fit->finish_step(cost);
  return true;
}

}  // namespace alma
