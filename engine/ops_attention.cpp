#include "engine/ops_attention.h"

#include <cmath>

#include "engine/ops_check.h"
#include "engine/ops_shape.h"
#include "engine/product.h"

namespace alma {

namespace {

/// Attention by products and softmaxes, for devices without a primitive: one sequence at a time. Off the tape.
class Attention {
 public:
  Attention(const Tensor& qkv, std::int64_t sequences, std::int64_t heads)
      : qkv_(qkv), sequences_(sequences), heads_(heads), t_(qkv.dim(0) / sequences), d_(qkv.dim(1) / (3 * heads)) {}

  Tensor forward() const {
    const Tensor y = Tensor::empty(qkv_.context(), {sequences_ * t_, heads_ * d_}, qkv_.dtype());
    for (std::int64_t s = 0; s < sequences_; ++s) {
      const Heads x = heads_of(s);
      const Tensor o = product(probabilities(x, true), false, x.v, false, {}, true);
      rows_of(y, s, heads_).copy_from(swap_first_two(o));
    }
    return y;
  }

  Tensor backward(const Tensor& dy) const {
    const Tensor dqkv = Tensor::empty(qkv_.context(), qkv_.shape(), qkv_.dtype());
    for (std::int64_t s = 0; s < sequences_; ++s) {
      const Heads x = heads_of(s);
      const Tensor d_o = swap_first_two(rows_of(dy, s, heads_)), p = probabilities(x, false);
      const Tensor dp = product(d_o, false, x.v, true, {}, false);
      const Tensor dscores = Tensor::empty(p.context(), p.shape(), p.dtype());
      p.backend().causal_softmax_backward(p, dp, scale(), dscores.out());
      p.context().add_cost({0, 4 * static_cast<Count>(p.count()), bytes_of(p, dp, dscores)});
      const Tensor gradients[] = {product(dscores, false, x.k, false, {}, false),
                                  product(dscores, true, x.q, false, {}, false), product(p, true, d_o, false, {}, false)};
      rows_of(dqkv, s, 3 * heads_).copy_from(swap_first_two(concat({gradients[0], gradients[1], gradients[2]}, 0)));
    }
    return dqkv;
  }

 private:
  struct Heads {
    Tensor q, k, v;  // [heads, t, d]
  };

  double scale() const { return 1 / std::sqrt(static_cast<double>(d_)); }

  // The rows of one sequence, [t, parts, d].
  Tensor rows_of(const Tensor& x, std::int64_t sequence, std::int64_t parts) const {
    return x.part(sequence * t_ * parts * d_, {t_, parts, d_});
  }
  Heads heads_of(std::int64_t sequence) const {
    const Tensor all = swap_first_two(rows_of(qkv_, sequence, 3 * heads_));
    const auto third = [&](std::int64_t i) { return all.part(i * heads_ * t_ * d_, {heads_, t_, d_}); };
    return {third(0), third(1), third(2)};
  }
  Tensor probabilities(const Heads& x, bool forward) const {
    const Tensor scores = product(x.q, false, x.k, true, {}, forward);
    const Tensor p = Tensor::empty(scores.context(), scores.shape(), scores.dtype());
    scores.backend().causal_softmax(scores, scale(), p.out());
    scores.context().add_cost({0, 4 * static_cast<Count>(p.count()), bytes_of(scores, p)});
    return p;
  }

  Tensor qkv_;
  std::int64_t sequences_, heads_, t_, d_;
};

// By the device's primitive. The costs are those of the whole square of scores, as the paper counts.
Tensor fused(const Tensor& qkv, std::int64_t sequences, std::int64_t heads) {
  const std::int64_t t = qkv.dim(0) / sequences, width = qkv.dim(1) / 3;
  const bool recorded = Tape::enabled() && qkv.requires_grad();
  const Tensor y = Tensor::empty(qkv.context(), {qkv.dim(0), width}, qkv.dtype());
  const Tensor log_sums = recorded ? Tensor::empty(qkv.context(), {sequences, heads, t}, qkv.dtype()) : Tensor();
  qkv.backend().causal_attention(qkv, sequences, heads, y.out(), recorded ? log_sums.out() : Out{});
  const Count macs = 2 * macs_of(sequences * t, width, t), scores = macs_of(sequences * heads, t, t);
  qkv.context().add_cost({macs, 2 * macs + 4 * scores, bytes_of(qkv, y)});
  return record(
      "causal_attention", {qkv}, y,
      [qkv = qkv.detach(), y = y.detach(), log_sums, sequences, heads, macs, scores](const Tensor& dy, Grads& grads) {
        const Tensor dqkv = Tensor::empty(qkv.context(), qkv.shape(), qkv.dtype());
        qkv.backend().causal_attention_backward(qkv, y, log_sums, dy, sequences, heads, dqkv.out());
        qkv.context().add_cost({0, 5 * macs + 4 * scores, bytes_of(qkv, y, dy, dqkv)});
        grads.add(0, dqkv);
      });
}

}  // namespace

Tensor causal_attention(const Tensor& qkv, std::int64_t sequences, std::int64_t heads) {
  require_rank("causal_attention", "qkv", qkv, 2);
  if (heads < 1 || qkv.dim(1) == 0 || qkv.dim(1) % (3 * heads) != 0)
    fail("[causal_attention] qkv must have 3 * heads equal parts in a row, got ", qkv.dtype(), ' ', qkv.shape(), " for ",
         heads, " heads");
  if (sequences < 1 || qkv.dim(0) % sequences != 0)
    fail("[causal_attention] ", qkv.shape(), " is not made of ", sequences, " sequences");
  if (qkv.backend().has_causal_attention()) return fused(qkv, sequences, heads);
  const Attention attention(qkv.detach(), sequences, heads);
  return record("causal_attention", {qkv}, attention.forward(),
                [attention](const Tensor& dy, Grads& grads) { grads.add(0, attention.backward(dy)); });
}

}  // namespace alma
