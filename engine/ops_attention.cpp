#include "engine/ops_attention.h"

#include <cmath>

#include "engine/ops_check.h"
#include "engine/ops_shape.h"
#include "engine/product.h"

namespace alma {

namespace {

/// The sizes of an attention, and its arithmetic for one sequence at a time. Off the tape.
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

}  // namespace

Tensor causal_attention(const Tensor& qkv, std::int64_t sequences, std::int64_t heads) {
  require_rank("causal_attention", "qkv", qkv, 2);
  if (heads < 1 || qkv.dim(1) == 0 || qkv.dim(1) % (3 * heads) != 0)
    fail("[causal_attention] qkv must have 3 * heads equal parts in a row, got ", qkv.dtype(), ' ', qkv.shape(), " for ",
         heads, " heads");
  if (sequences < 1 || qkv.dim(0) % sequences != 0)
    fail("[causal_attention] ", qkv.shape(), " is not made of ", sequences, " sequences");
  const Attention attention(qkv.detach(), sequences, heads);
  return record("causal_attention", {qkv}, attention.forward(),
                [attention](const Tensor& dy, Grads& grads) { grads.add(0, attention.backward(dy)); });
}

}  // namespace alma
