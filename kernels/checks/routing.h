#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline constexpr std::int64_t max_routed_experts = 1024;

struct RouteSizes {
  std::int64_t tokens, experts, capacity;
};

inline Checked<RouteSizes> route_top1(Backend& backend, const In& logits, const Routes& routes) {
  const char* op = "route_top1";
  rank(op, "logits", logits, 2);
  rank(op, "slots", routes.slots, 2);
  const RouteSizes s{logits.shape[0], logits.shape[1], routes.slots.shape[1]};
  if (s.experts < 1 || s.experts > max_routed_experts)
    fail("[", op, "] needs 1 to ", max_routed_experts, " experts, got logits ", logits.shape);
  array(op, "probabilities", routes.probabilities, logits.dtype, logits.shape);
  array(op, "expert", routes.expert, DType::i32, {s.tokens});
  array(op, "gate", routes.gate, logits.dtype, {s.tokens});
  array(op, "position", routes.position, DType::i32, {s.tokens});
  array(op, "slots", routes.slots, DType::i32, {s.experts, s.capacity});
  array(op, "counts", routes.counts, DType::i32, {s.experts});
  array(op, "importance", routes.importance, logits.dtype, {s.experts});
  array(op, "balance", routes.balance, logits.dtype, {});
  return {s, {backend, op, logits, routes.probabilities, routes.slots}};
}

inline Observed route_top1_backward(Backend& backend, const In& probabilities, const In& expert, const In& counts,
                                    const In& dgate, const In& dbalance, const Out& dlogits) {
  const char* op = "route_top1_backward";
  rank(op, "probabilities", probabilities, 2);
  const std::int64_t tokens = probabilities.shape[0], experts = probabilities.shape[1];
  if (experts < 1 || experts > max_routed_experts)
    fail("[", op, "] needs 1 to ", max_routed_experts, " experts, got probabilities ", probabilities.shape);
  array(op, "expert", expert, DType::i32, {tokens});
  array(op, "counts", counts, DType::i32, {experts});
  if (dgate) array(op, "dgate", dgate, probabilities.dtype, {tokens});
  if (dbalance) array(op, "dbalance", dbalance, probabilities.dtype, {});
  array(op, "dlogits", dlogits, probabilities.dtype, probabilities.shape);
  return {backend, op, probabilities, expert, counts, dgate, dbalance, dlogits};
}

/// slotted [experts, capacity, d] and rows [tokens, d] go together.
inline void routed_rows(const char* op, const In& slotted, const In& rows, const In* slots, const In* expert,
                        const In* position, const In* gate) {
  rank(op, "the rows by slot", slotted, 3);
  rank(op, "the rows by token", rows, 2);
  const Shape& s = slotted.shape;
  const std::int64_t tokens = rows.shape[0];
  array(op, "the rows by token", rows, slotted.dtype, {tokens, s[2]});
  if (slots != nullptr) array(op, "slots", *slots, DType::i32, {s[0], s[1]});
  if (expert != nullptr) array(op, "expert", *expert, DType::i32, {tokens});
  if (position != nullptr) array(op, "position", *position, DType::i32, {tokens});
  if (gate != nullptr) array(op, "gate", *gate, slotted.dtype, {tokens});
}

inline Observed route_dispatch(Backend& backend, const In& x, const In& slots, const Out& y) {
  routed_rows("route_dispatch", y, x, &slots, nullptr, nullptr, nullptr);
  return {backend, "route_dispatch", x, slots, y};
}

inline Observed route_dispatch_backward(Backend& backend, const In& dy, const In& expert, const In& position,
                                        const Out& dx) {
  routed_rows("route_dispatch_backward", dy, dx, nullptr, &expert, &position, nullptr);
  return {backend, "route_dispatch_backward", dy, expert, position, dx};
}

inline Observed route_combine(Backend& backend, const In& x, const In& expert, const In& position, const In& gate,
                              const Out& y) {
  routed_rows("route_combine", x, y, nullptr, &expert, &position, &gate);
  return {backend, "route_combine", x, expert, position, gate, y};
}

inline Observed route_combine_backward(Backend& backend, const In& x, const In& slots, const In& expert, const In& position,
                                       const In& gate, const In& dy, const Out& dx, const Out& dgate) {
  const char* op = "route_combine_backward";
  routed_rows(op, x, dy, &slots, &expert, &position, &gate);
  array(op, "dx", dx, x.dtype, x.shape);
  array(op, "dgate", dgate, x.dtype, {dy.shape[0]});
  return {backend, op, x, slots, expert, position, gate, dy, dx, dgate};
}

}  // namespace alma::check
