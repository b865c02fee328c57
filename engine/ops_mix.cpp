#include "engine/ops_mix.h"

#include "engine/ops_check.h"
#include "engine/ops_conv.h"

namespace alma {

namespace {

// Reshaped to as many rows as `gates` has.
Out as_rows(const Tensor& x, const Tensor& gates) {
  Out view = x.out();
  view.shape = {gates.dim(0), gates.dim(0) == 0 ? 0 : x.count() / gates.dim(0)};
  return view;
}
template <class View>
std::vector<View> rows_of(const std::vector<Tensor>& tensors, const Tensor& gates) {
  std::vector<View> views;
  views.reserve(tensors.size());
  for (const Tensor& tensor : tensors) views.push_back(as_rows(tensor, gates));
  return views;
}

void check(const Tensor& gates, const std::vector<Tensor>& experts, std::int64_t gates_per_row) {
  require_rank("mix", "gates", gates, 2);
  if (experts.empty() || experts.size() > 16) fail("[mix] 1 to 16 experts, got ", experts.size());
  if (gates_per_row != 1) {
    require_rank("mix", "every expert", experts[0], 4);
    if (gates_per_row < 1 || experts[0].dim(1) % gates_per_row != 0)
      fail("[mix] ", gates_per_row, " gates for each of the images ", experts[0].shape());
  }
  require_shape("mix", "gates", gates, {experts[0].dim(0) * gates_per_row, static_cast<std::int64_t>(experts.size())});
  for (const Tensor& expert : experts) {
    require_row_major("mix", expert);
    require_shape("mix", "every expert", expert, experts[0].shape());
    require_dtype("mix", "every expert", expert, gates.dtype());
  }
}

}  // namespace

Tensor mix(const Tensor& gates, const std::vector<Tensor>& experts, std::int64_t gates_per_row) {
  if (!experts.empty() && experts[0].layout() == Layout::lanes16) {
    std::vector<Tensor> rows;
    for (const Tensor& expert : experts) rows.push_back(to_layout(expert, Layout::row_major));
    return to_layout(mix(gates, rows, gates_per_row), Layout::lanes16);
  }
  check(gates, experts, gates_per_row);
  const Tensor y = Tensor::empty(gates.context(), experts[0].shape(), gates.dtype());
  gates.backend().mix(gates, rows_of<In>(experts, gates), as_rows(y, gates));
  const Count elements = static_cast<Count>(y.count()) * experts.size();
  gates.context().add_cost({0, 2 * elements, bytes_of(gates, y) + bytes_of(y) * experts.size()});
  std::vector<Tensor> inputs{gates}, saved;
  for (const Tensor& expert : experts) {
    inputs.push_back(expert);
    saved.push_back(expert.detach());
  }
  return record("mix", inputs, y,
                [gates = gates.detach(), experts = std::move(saved), elements](const Tensor& dy, Grads& grads) {
                  Tensor dgates = Tensor::empty(dy.context(), gates.shape(), dy.dtype());
                  std::vector<Tensor> dexperts;
                  for (std::size_t k = 0; k < experts.size(); ++k)
                    dexperts.push_back(Tensor::empty(dy.context(), dy.shape(), dy.dtype()));
                  dy.backend().mix_backward(gates, rows_of<In>(experts, gates), as_rows(dy, gates), dgates.out(),
                                            rows_of<Out>(dexperts, gates));
                  dy.context().add_cost({0, 3 * elements, bytes_of(gates, gates, dy) + 2 * experts.size() * bytes_of(dy)});
                  grads.add(0, std::move(dgates));
                  for (std::size_t k = 0; k < experts.size(); ++k) grads.add(k + 1, std::move(dexperts[k]));
                });
}

}  // namespace alma
