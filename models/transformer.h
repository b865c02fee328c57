#pragma once
#include <memory>
#include <vector>

#include "engine/nn.h"
#include "engine/nn_norm.h"
#include "models/switch_layer.h"

namespace alma {

/// The sizes and choices of a language model. Of the paper's `base` and `large` (Caccia et al. 2022, Section 5.2) layers,
/// width, experts and their places are known; vocabulary, heads, dropout and initial weights are not stated there.
struct TransformerSettings {
  std::int64_t vocabulary = 0;  // tokens that there are
  std::int64_t sequence = 512;  // the longest sequence
  std::int64_t width = 512;     // d
  std::int64_t layers = 6;
  std::int64_t heads = 8;    // divides the width
  std::int64_t hidden = 0;   // of a feed-forward layer; 0: 4 d
  std::int64_t experts = 1;  // of a Switch layer
  // Every how many layers the feed-forward layer is a Switch layer: with 2 the second, the fourth, ... With 1 expert no
  // layer is one.
  std::int64_t switch_every = 2;
  double capacity_factor = 1, balance = 0.01;  // SwitchSettings
  bool gelu = false;                           // in place of ReLU, in all feed-forward layers
  double dropout = 0;                          // of the embeddings and of what each residual branch adds, in [0, 1)
  double init_std = 0.02;                      // of weights; biases start at 0
};

/// Multi-head self-attention: one product for queries, keys and values, causal_attention(), and a product that joins the
/// heads.
class CausalAttention final : public Module {
 public:
  static constexpr const char* type = "causal_attention";
  CausalAttention(std::unique_ptr<Linear> qkv, std::unique_ptr<Linear> out, std::int64_t heads);
  explicit CausalAttention(const Structure& structure);
  /// x [sequences, t, width] -> the same shape.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::unique_ptr<Module> qkv_, out_;
  std::int64_t heads_;
};

/// A pre-norm block: x + attention(norm(x)), then y + feed_forward(norm(y)), with dropout on what is added.
class TransformerBlock final : public Module {
 public:
  static constexpr const char* type = "transformer_block";
  /// `number`: of the block in its model, which tells its random bits from those of other blocks.
  TransformerBlock(std::vector<std::unique_ptr<Module>> parts, std::int64_t number, double dropout);
  explicit TransformerBlock(const Structure& structure);
  /// x [sequences, t, width] -> the same shape.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  Tensor dropped(const Tensor& x, const Pass& pass, std::int64_t branch) const;

  std::vector<std::unique_ptr<Module>> parts_;  // attention_norm, attention, feed_forward_norm, feed_forward
  std::int64_t number_;
  double dropout_;
};

/// A decoder-only Transformer with learned positions, a final norm, and an output layer that is the embedding itself.
class Transformer final : public Module {
 public:
  static constexpr const char* type = "transformer";
  /// Weights are drawn from `init` in the order of the state. Throws Error for sizes that do not fit.
  Transformer(Context& context, const TransformerSettings& settings, RandomStream init, DType dtype = DType::f32);
  explicit Transformer(const Structure& structure);
  /// Tokens i32 [sequences, t], t up to the longest sequence, to logits [sequences * t, vocabulary] of the tokens that
  /// follow, as deferred_linear() makes them. A token outside the vocabulary makes NaN.
  Tensor forward(const Tensor& tokens, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  Transformer(const Transformer& other, Context& context);

  Tensor embedding_, position_;  // [vocabulary, width], [sequence, width]
  std::vector<std::unique_ptr<Module>> blocks_;
  std::unique_ptr<Module> norm_;
  double dropout_;
};

}  // namespace alma
