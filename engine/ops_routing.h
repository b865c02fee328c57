#pragma once
#include "engine/tensor.h"

namespace alma {

/// How route_top1() distributes tokens over experts. Routes are saved and never computed again: two computations could
/// decide a tie differently.
struct Routing {
  Tensor gate;     // [tokens]: the probability of the chosen expert; on the tape
  Tensor balance;  // []: the balance loss without its factor, 1 where all is spread evenly; on the tape
  // Off the tape:
  Tensor expert;         // i32 [tokens]
  Tensor position;       // i32 [tokens]: the place among the expert's tokens, in batch order; -1: beyond the capacity
  Tensor slots;          // i32 [experts, capacity]: the token in each place; -1: none
  Tensor counts;         // i32 [experts]: the tokens that chose the expert, whatever the capacity
  Tensor probabilities;  // [tokens, experts]

  std::int64_t tokens() const { return expert.dim(0); }
  std::int64_t experts() const { return slots.dim(0); }
  std::int64_t capacity() const { return slots.dim(1); }
};

/// Top-1 routing of Switch Transformers (Fedus et al., JMLR 2022, Section 2.2): each token goes to the most probable expert
/// of softmax(logits), logits [tokens, experts]; of equals the lowest index wins. An expert takes its first `capacity`
/// tokens, at least 0. The balance loss is Eq. 4 over all tokens, before the capacity drops any. Throws Error "[route_top1]
/// needs 1 to 1024 experts, got logits [8, 0]".
Routing route_top1(const Tensor& logits, std::int64_t capacity);

/// The tokens of x [tokens, d] by expert: [experts, capacity, d], zeros in empty slots.
Tensor route_dispatch(const Tensor& x, const Routing& routing);

/// The way back, scaled by the gate: x [experts, capacity, d] becomes [tokens, d], zeros for dropped tokens.
Tensor route_combine(const Tensor& x, const Routing& routing);

}  // namespace alma
