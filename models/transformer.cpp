#include "models/transformer.h"

#include <nlohmann/json.hpp>

#include "engine/ops_attention.h"
#include "engine/ops_check.h"
#include "engine/ops_dropout.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

namespace {

// The rows of all sequences, [sequences * t, width].
Tensor as_rows(const Tensor& x) { return reshape(x, {-1, x.dim(2)}); }

std::unique_ptr<Linear> drawn(Context& context, std::int64_t in, std::int64_t out, bool relu, double init_std,
                              RandomStream& init, DType dtype) {
  const Tensor weight = normal_parameter(context, {out, in}, init_std, init, dtype);
  return std::make_unique<Linear>(weight, Tensor::zeros(context, {out}, dtype), relu);
}

Tensor dropped_out(const Tensor& x, double probability, const Pass& pass, std::uint64_t layer) {
  if (!pass.training() || probability == 0) return x;
  return dropout(x, probability, pass.random_of(layer, x.count() / x.dim(0)));
}

}  // namespace

CausalAttention::CausalAttention(std::unique_ptr<Linear> qkv, std::unique_ptr<Linear> out, std::int64_t heads)
    : qkv_(std::move(qkv)), out_(std::move(out)), heads_(heads) {}

CausalAttention::CausalAttention(const Structure& structure)
    : qkv_(structure.child("qkv")), out_(structure.child("out")), heads_(structure.size("heads")) {}

Tensor CausalAttention::forward(const Tensor& x, Pass& pass) {
  require_rank("causal_attention", "x", x, 3);
  const Tensor y = causal_attention(qkv_->forward(as_rows(x), pass), x.dim(0), heads_);
  return reshape(out_->forward(y, pass), {x.dim(0), x.dim(1), -1});
}

void CausalAttention::children(const ChildVisitor& visitor) {
  visitor("qkv", *qkv_);
  visitor("out", *out_);
}

nlohmann::json CausalAttention::structure() const {
  return {{"type", type}, {"heads", heads_}, {"qkv", qkv_->structure()}, {"out", out_->structure()}};
}

std::unique_ptr<Module> CausalAttention::clone(Context& context) const {
  auto copy = std::make_unique<CausalAttention>(nullptr, nullptr, heads_);
  copy->qkv_ = qkv_->clone(context);
  copy->out_ = out_->clone(context);
  return copy;
}

TransformerBlock::TransformerBlock(std::vector<std::unique_ptr<Module>> parts, std::int64_t number, double dropout)
    : parts_(std::move(parts)), number_(number), dropout_(dropout) {}

TransformerBlock::TransformerBlock(const Structure& structure)
    : parts_(structure.children("parts")),
      number_(structure.integer("number", 0, 1 << 20)),
      dropout_(structure.number("dropout", 0, 1)) {
  if (parts_.size() != 4) structure.refuse("a block has 4 parts, found ", parts_.size());
}

Tensor TransformerBlock::dropped(const Tensor& x, const Pass& pass, std::int64_t branch) const {
  return dropped_out(x, dropout_, pass, static_cast<std::uint64_t>(2 * number_ + branch + 1));  // 0: the embeddings
}

Tensor TransformerBlock::forward(const Tensor& x, Pass& pass) {
  const auto& [attention_norm, attention, feed_forward_norm, feed_forward] =
      std::tie(parts_[0], parts_[1], parts_[2], parts_[3]);
  const Tensor y = x + dropped(attention->forward(attention_norm->forward(x, pass), pass), pass, 0);
  const Tensor rows = feed_forward->forward(as_rows(feed_forward_norm->forward(y, pass)), pass);
  return y + dropped(reshape(rows, {x.dim(0), x.dim(1), -1}), pass, 1);
}

void TransformerBlock::children(const ChildVisitor& visitor) {
  const char* names[] = {"attention_norm", "attention", "feed_forward_norm", "feed_forward"};
  for (std::size_t i = 0; i < parts_.size(); ++i) visitor(names[i], *parts_[i]);
}

nlohmann::json TransformerBlock::structure() const {
  return {{"type", type}, {"number", number_}, {"dropout", dropout_}, {"parts", structures_of(parts_)}};
}

std::unique_ptr<Module> TransformerBlock::clone(Context& context) const {
  return std::make_unique<TransformerBlock>(clones_of(parts_, context), number_, dropout_);
}

Transformer::Transformer(Context& context, const TransformerSettings& s, RandomStream init, DType dtype)
    : dropout_(s.dropout) {
  if (s.vocabulary < 1 || s.sequence < 1 || s.width < 1 || s.layers < 0 || s.heads < 1 || s.hidden < 0 || s.experts < 1)
    fail("[transformer] sizes must be at least 1");
  if (s.width % s.heads != 0) fail("[transformer] ", s.heads, " heads do not divide a width of ", s.width);
  if (s.switch_every < 1) fail("[transformer] a Switch layer every ", s.switch_every, " layers, expected 1 or more");
  if (!(s.dropout >= 0 && s.dropout < 1)) fail("[transformer] a dropout of ", s.dropout, ", expected 0 or more and below 1");
  const std::int64_t hidden = s.hidden > 0 ? s.hidden : 4 * s.width;
  const auto layer = [&](std::int64_t in, std::int64_t out, bool relu) {
    return drawn(context, in, out, relu, s.init_std, init, dtype);
  };
  embedding_ = normal_parameter(context, {s.vocabulary, s.width}, s.init_std, init, dtype);
  position_ = normal_parameter(context, {s.sequence, s.width}, s.init_std, init, dtype);
  for (std::int64_t number = 0; number < s.layers; ++number) {
    std::vector<std::unique_ptr<Module>> parts;
    parts.push_back(std::make_unique<LayerNorm>(context, s.width, dtype));
    auto qkv = layer(s.width, 3 * s.width, false);
    parts.push_back(std::make_unique<CausalAttention>(std::move(qkv), layer(s.width, s.width, false), s.heads));
    parts.push_back(std::make_unique<LayerNorm>(context, s.width, dtype));
    if (s.experts > 1 && (number + 1) % s.switch_every == 0) {
      const SwitchSettings settings{s.width, hidden, s.experts, s.capacity_factor, s.balance, s.gelu};
      parts.push_back(std::make_unique<SwitchLayer>(context, settings, s.init_std, init, dtype));
    } else {
      auto dense = std::make_unique<Sequential>();
      dense->add("in", layer(s.width, hidden, !s.gelu));
      if (s.gelu) dense->add("gelu", std::make_unique<GeluLayer>());
      dense->add("out", layer(hidden, s.width, false));
      parts.push_back(std::move(dense));
    }
    blocks_.push_back(std::make_unique<TransformerBlock>(std::move(parts), number, s.dropout));
  }
  norm_ = std::make_unique<LayerNorm>(context, s.width, dtype);
}

Transformer::Transformer(const Structure& structure)
    : embedding_(structure.parameter({structure.size("vocabulary"), structure.size("width")})),
      position_(structure.parameter({structure.size("sequence"), structure.size("width")})),
      blocks_(structure.children("blocks")),
      norm_(structure.child("norm")),
      dropout_(structure.number("dropout", 0, 1)) {}

Transformer::Transformer(const Transformer& other, Context& context)
    : Module(),
      embedding_(clone_state(other.embedding_, context)),
      position_(clone_state(other.position_, context)),
      blocks_(clones_of(other.blocks_, context)),
      norm_(other.norm_->clone(context)),
      dropout_(other.dropout_) {}

nlohmann::json Transformer::structure() const {
  return {{"type", type},
          {"vocabulary", embedding_.dim(0)},
          {"width", embedding_.dim(1)},
          {"sequence", position_.dim(0)},
          {"dropout", dropout_},
          {"dtype", name_of(embedding_.dtype())},
          {"blocks", structures_of(blocks_)},
          {"norm", norm_->structure()}};
}

Tensor Transformer::forward(const Tensor& tokens, Pass& pass) {
  if (pass.members != 0)
    fail(
        "[transformer] several Transformers cannot be trained as one stack; train one, or on the cpu, which trains each "
        "by itself");
  require_rank("transformer", "tokens", tokens, 2);
  require_dtype("transformer", "tokens", tokens, DType::i32);
  const std::int64_t sequences = tokens.dim(0), t = tokens.dim(1);
  if (t < 1 || t > position_.dim(0))
    fail("[transformer] sequences of ", t, " tokens, expected 1 to ", position_.dim(0), ", the length that it was made for");
  const Tensor rows = gather(embedding_, tokens.view({tokens.count()}));
  Tensor x = reshape(rows, {sequences, t, embedding_.dim(1)}) + slice(position_, 0, 0, t);
  x = dropped_out(x, dropout_, pass, 0);
  for (const auto& block : blocks_) x = block->forward(x, pass);
  return deferred_linear(as_rows(norm_->forward(x, pass)), embedding_);
}

void Transformer::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "embedding", embedding_);
  visitor(prefix + "position", position_);
  Module::visit(visitor, prefix);
}

void Transformer::children(const ChildVisitor& visitor) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) visitor("block." + std::to_string(i), *blocks_[i]);
  visitor("norm", *norm_);
}

std::unique_ptr<Module> Transformer::clone(Context& context) const {
  return std::unique_ptr<Module>(new Transformer(*this, context));
}

}  // namespace alma
