#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline constexpr std::size_t max_experts = 16;

inline void experts_of_mix(const char* op, const In& gates, std::span<const In> experts, const In& y) {
  rank(op, "gates", gates, 2);
  rank(op, "y", y, 2);
  if (experts.empty() || experts.size() > max_experts) fail("[", op, "] needs 1 to 16 experts, got ", experts.size());
  array(op, "gates", gates, gates.dtype, {y.shape[0], static_cast<std::int64_t>(experts.size())});
  array(op, "y", y, gates.dtype, y.shape);
  for (const In& expert : experts) array(op, "expert", expert, gates.dtype, y.shape);
}

inline Observed mix(Backend& backend, const In& gates, std::span<const In> experts, const Out& y) {
  experts_of_mix("mix", gates, experts, y);
  return {backend, "mix", gates, experts, y};
}

inline Observed mix_backward(Backend& backend, const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                             std::span<const Out> dexperts) {
  experts_of_mix("mix_backward", gates, experts, dy);
  array("mix_backward", "dgates", dgates, gates.dtype, gates.shape);
  if (dexperts.size() != experts.size())
    fail("[mix_backward] needs ", experts.size(), " gradients of experts, got ", dexperts.size());
  for (const Out& dexpert : dexperts) array("mix_backward", "dexpert", dexpert, gates.dtype, dy.shape);
  return {backend, "mix_backward", gates, experts, dy, dgates, dexperts};
}

}  // namespace alma::check
