#include "alma/learn/stacked_fit.h"

#include <algorithm>

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
    : model_(model),
      fits_(fits),
      orders_(stack(each(fits, [](Fit& fit) { return &fit.order_; }))),
      losses_(stack(each(fits, [](Fit& fit) { return &fit.losses_; }))),
      validation_(stack(each(fits, [](Fit& fit) { return &fit.validation_; }))),
      optimizer_(each(fits, [](Fit& fit) { return &fit.optimizer_; }), named_parameters(model),
                 first_open(fits) == nullptr ? 0 : first_open(fits)->steps()),
      trainer_(model, optimizer_, fits[0]->images_, each(fits, [](Fit& fit) { return fit.settings_.augmentation; }),
               fits[0]->settings_.graph) {}

bool StackedFit::step() {
  const Fit* open = first_open(fits_);
  if (open == nullptr) return false;
  const auto [first, last] = open->next_samples();
  const std::int64_t k = orders_.dim(0), column = open->step_;
  const Tensor losses = Tensor::empty(losses_.context(), {k}, DType::f32);
  Cost cost = trainer_.step(samples_of_stack(orders_, first, last), losses);
  const std::size_t size = size_of(DType::f32), row = static_cast<std::size_t>(losses_.dim(1)) * size;
  losses_.backend().copy(losses.in().data, size, losses_.part(column, {}).out().data, row, size,
                         static_cast<std::size_t>(k));
  cost = cost / static_cast<Count>(k);  // of members of equal shapes
  bool end_of_epoch = false;            // for all that are not done, or none
  for (const auto& fit : fits_)
    if (!fit->done()) end_of_epoch = fit->finish_step(cost);
  if (end_of_epoch) validate();
  return true;
}

void StackedFit::validate() {
  const ProfileSpan span(validation_.context(), "validation");
  Pass pass;
  const std::vector<Evaluation> found =
      evaluate_stack([&](const Tensor& x) { return model_.forward(x, pass); }, fits_[0]->images_, validation_);
  for (std::size_t i = 0; i < fits_.size(); ++i)
    if (!fits_[i]->done()) fits_[i]->end_epoch(found[i]);
}

}  // namespace alma
