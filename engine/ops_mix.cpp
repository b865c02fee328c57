#include "engine/ops_mix.h"

#include "engine/ops_check.h"

namespace alma {

namespace {

template <class View, class Get>
std::vector<View> views(const std::vector<Tensor>& tensors, Get get) {
  std::vector<View> result;
  result.reserve(tensors.size());
  for (const Tensor& tensor : tensors) result.push_back(get(tensor));
  return result;
}
std::vector<In> ins(const std::vector<Tensor>& tensors) {
  return views<In>(tensors, [](const Tensor& t) { return t.in(); });
}

void check(const Tensor& gates, const std::vector<Tensor>& experts) {
  require_rank("mix", "gates", gates, 2);
  if (experts.empty() || experts.size() > 16) fail("[mix] 1 to 16 experts, got ", experts.size());
  require_rank("mix", "expert 0", experts[0], 2);
  require_shape("mix", "gates", gates, {experts[0].dim(0), static_cast<std::int64_t>(experts.size())});
  for (const Tensor& expert : experts) {
    require_shape("mix", "every expert", expert, experts[0].shape());
    require_dtype("mix", "every expert", expert, gates.dtype());
  }
}

}  // namespace

Tensor mix(const Tensor& gates, const std::vector<Tensor>& experts) {
  check(gates, experts);
  const Tensor y = Tensor::empty(gates.context(), experts[0].shape(), gates.dtype());
  gates.backend().mix(gates, ins(experts), y.out());
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
                  dy.backend().mix_backward(gates, ins(experts), dy, dgates.out(),
                                            views<Out>(dexperts, [](const Tensor& t) { return t.out(); }));
                  dy.context().add_cost({0, 3 * elements, bytes_of(gates, gates, dy) + 2 * experts.size() * bytes_of(dy)});
                  grads.add(0, std::move(dgates));
                  for (std::size_t k = 0; k < experts.size(); ++k) grads.add(k + 1, std::move(dexperts[k]));
                });
}

}  // namespace alma
