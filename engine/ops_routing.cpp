#include "engine/ops_routing.h"

#include "engine/ops_check.h"

namespace alma {

namespace {

/// What a node keeps: no part of the tape.
Routing saved(const Routing& routing) {
  Routing off = routing;
  off.gate = routing.gate.detach();
  off.balance = routing.balance.detach();
  return off;
}

// dgate or dbalance may be undefined.
Tensor dlogits(const Routing& routing, const Tensor& dgate, const Tensor& dbalance) {
  const Tensor& p = routing.probabilities;
  const Tensor gradient = Tensor::empty(p.context(), p.shape(), p.dtype());
  p.backend().route_top1_backward(p, routing.expert, routing.counts, dgate.defined() ? dgate.in() : In{},
                                  dbalance.defined() ? dbalance.in() : In{}, gradient.out());
  p.context().add_cost({0, 4 * static_cast<Count>(p.count()), bytes_of(p, gradient)});
  return gradient;
}

void require_routed(const char* op, const Tensor& x, const Shape& shape, const Routing& routing) {
  require_shape(op, "x", x, shape);
  require_dtype(op, "x", x, routing.probabilities.dtype());
}

Tensor empty_by_slot(const Routing& routing, std::int64_t d) {
  const Tensor& p = routing.probabilities;
  return Tensor::empty(p.context(), {routing.experts(), routing.capacity(), d}, p.dtype());
}
Tensor empty_by_token(const Routing& routing, std::int64_t d) {
  const Tensor& p = routing.probabilities;
  return Tensor::empty(p.context(), {routing.tokens(), d}, p.dtype());
}

}  // namespace

Routing route_top1(const Tensor& logits, std::int64_t capacity) {
  require_rank("route_top1", "logits", logits, 2);
  if (capacity < 0) fail("[route_top1] a capacity of ", capacity, " tokens, expected 0 or more");
  const std::int64_t tokens = logits.dim(0), experts = logits.dim(1);
  const auto empty = [&](const Shape& shape, DType dtype) { return Tensor::empty(logits.context(), shape, dtype); };
  Routing r;
  r.gate = empty({tokens}, logits.dtype());
  r.balance = empty({}, logits.dtype());
  r.expert = empty({tokens}, DType::i32);
  r.position = empty({tokens}, DType::i32);
  r.slots = empty({experts, capacity}, DType::i32);
  r.counts = empty({experts}, DType::i32);
  r.probabilities = empty({tokens, experts}, logits.dtype());
  const Tensor importance = empty({experts}, logits.dtype());
  logits.backend().route_top1(logits, {r.probabilities.out(), r.expert.out(), r.gate.out(), r.position.out(), r.slots.out(),
                                       r.counts.out(), importance.out(), r.balance.out()});
  logits.context().add_cost({0, 5 * static_cast<Count>(logits.count()), bytes_of(logits, r.probabilities, r.slots)});
  // Two nodes, since each of the two results may be used without the other.
  const Routing routes = saved(r);
  r.gate = record("route_top1", {logits}, r.gate,
                  [routes](const Tensor& dgate, Grads& grads) { grads.add(0, dlogits(routes, dgate, {})); });
  r.balance = record("balance_loss", {logits}, r.balance,
                     [routes](const Tensor& dbalance, Grads& grads) { grads.add(0, dlogits(routes, {}, dbalance)); });
  return r;
}

Tensor route_dispatch(const Tensor& x, const Routing& routing) {
  require_rank("route_dispatch", "x", x, 2);
  require_routed("route_dispatch", x, {routing.tokens(), x.dim(1)}, routing);
  const Tensor y = empty_by_slot(routing, x.dim(1));
  x.backend().route_dispatch(x, routing.slots, y.out());
  x.context().add_cost({0, 0, bytes_of(y, y, routing.slots)});
  return record("route_dispatch", {x}, y, [routing = saved(routing)](const Tensor& dy, Grads& grads) {
    const Tensor dx = empty_by_token(routing, dy.dim(2));
    dy.backend().route_dispatch_backward(dy, routing.expert, routing.position, dx.out());
    dy.context().add_cost({0, 0, bytes_of(dx, dx)});
    grads.add(0, dx);
  });
}

Tensor route_combine(const Tensor& x, const Routing& routing) {
  require_rank("route_combine", "x", x, 3);
  require_routed("route_combine", x, {routing.experts(), routing.capacity(), x.dim(2)}, routing);
  const Tensor y = empty_by_token(routing, x.dim(2));
  x.backend().route_combine(x, routing.expert, routing.position, routing.gate, y.out());
  x.context().add_cost({0, static_cast<Count>(y.count()), bytes_of(y, y, routing.gate)});
  return record("route_combine", {x, routing.gate}, y,
                [x = x.detach(), routing = saved(routing)](const Tensor& dy, Grads& grads) {
                  const Tensor dx = empty_by_slot(routing, dy.dim(1));
                  const Tensor dgate = Tensor::empty(dy.context(), {routing.tokens()}, dy.dtype());
                  dy.backend().route_combine_backward(x, routing.slots, routing.expert, routing.position, routing.gate, dy,
                                                      dx.out(), dgate.out());
                  dy.context().add_cost({0, 3 * static_cast<Count>(dy.count()), bytes_of(x, dy, dx)});
                  grads.add(0, dx);
                  grads.add(1, dgate);
                });
}

}  // namespace alma
