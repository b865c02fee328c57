#include "models/switch_layer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/nn.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_experts.h"
#include "engine/ops_matmul.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

namespace {

constexpr std::int64_t kMostExperts = 1024;

SwitchSettings checked(const SwitchSettings& s) {
  if (s.width < 1 || s.hidden < 1 || s.experts < 1 || s.experts > kMostExperts)
    fail("[switch] width and hidden at least 1, experts 1 to ", kMostExperts, ", got ", s.width, ", ", s.hidden, " and ",
         s.experts);
  if (!(s.capacity_factor > 0) || !(s.balance >= 0))
    fail("[switch] a capacity factor above 0 and a balance of at least 0, got ", s.capacity_factor, " and ", s.balance);
  return s;
}

SwitchSettings settings_of(const Structure& structure) {
  return {.width = structure.size("width"),
          .hidden = structure.size("hidden"),
          .experts = structure.integer("experts", 1, kMostExperts),
          .capacity_factor = structure.number("capacity_factor", 1e-3, 1e6),
          .balance = structure.number("balance", 0, 1e6),
          .gelu = structure.flag("gelu")};
}

// An evaluation's capacity is what the busiest expert needs, so that it costs no more than that: tokens are counted on the
// host, once per layer.
Routing without_idle_slots(const Routing& all) {
  std::int32_t most = 0;
  for (const std::int32_t count : all.counts.to_vector<std::int32_t>()) most = std::max(most, count);
  Routing routing = all;
  routing.slots = slice(all.slots, 1, 0, most);
  return routing;
}

}  // namespace

SwitchLayer::SwitchLayer(Context& context, const SwitchSettings& settings, double init_std, RandomStream& init, DType dtype)
    : settings_(checked(settings)) {
  const std::int64_t e = settings.experts, d = settings.width, hidden = settings.hidden;
  router_ = normal_parameter(context, {e, d}, init_std, init, dtype);
  in_weight_ = normal_parameter(context, {e, hidden, d}, init_std, init, dtype);
  in_bias_ = Tensor::zeros(context, {e, hidden}, dtype).set_requires_grad(true);
  out_weight_ = normal_parameter(context, {e, d, hidden}, init_std, init, dtype);
  out_bias_ = Tensor::zeros(context, {e, d}, dtype).set_requires_grad(true);
}

SwitchLayer::SwitchLayer(const Structure& structure) : settings_(settings_of(structure)) {
  const std::int64_t e = settings_.experts, d = settings_.width, hidden = settings_.hidden;
  router_ = structure.parameter({e, d});
  in_weight_ = structure.parameter({e, hidden, d});
  in_bias_ = structure.parameter({e, hidden});
  out_weight_ = structure.parameter({e, d, hidden});
  out_bias_ = structure.parameter({e, d});
}

SwitchLayer::SwitchLayer(const SwitchLayer& other, Context& context)
    : Module(),
      settings_(other.settings_),
      router_(clone_state(other.router_, context)),
      in_weight_(clone_state(other.in_weight_, context)),
      in_bias_(clone_state(other.in_bias_, context)),
      out_weight_(clone_state(other.out_weight_, context)),
      out_bias_(clone_state(other.out_bias_, context)) {}

nlohmann::json SwitchLayer::structure() const {
  return {{"type", type},
          {"width", settings_.width},
          {"hidden", settings_.hidden},
          {"experts", settings_.experts},
          {"capacity_factor", settings_.capacity_factor},
          {"balance", settings_.balance},
          {"gelu", settings_.gelu},
          {"dtype", name_of(router_.dtype())}};
}

Routing SwitchLayer::route(const Tensor& x, bool training) const {
  const Tensor logits = linear(x, router_, {});
  const std::int64_t tokens = x.dim(0);
  if (!training) return without_idle_slots(route_top1(logits, tokens));
  const double share = settings_.capacity_factor * static_cast<double>(tokens) / static_cast<double>(settings_.experts);
  return route_top1(logits, std::min(tokens, static_cast<std::int64_t>(std::ceil(share))));
}

Tensor SwitchLayer::forward(const Tensor& x, Pass& pass) {
  if (pass.members != 0) fail("[switch] a stack of Switch layers");
  const Routing routing = route(x, pass.training());
  if (pass.training() && settings_.balance > 0) pass.penalties.push_back(settings_.balance * routing.balance);
  if (pass.wants_usage) pass.usage.push_back({this, routing.probabilities});
  const Tensor y =
      expert_layers(route_dispatch(x, routing), {in_weight_, in_bias_, out_weight_, out_bias_, settings_.gelu}, routing);
  return route_combine(y, routing);
}

void SwitchLayer::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "router.weight", router_);
  visitor(prefix + "in.weight", in_weight_);
  visitor(prefix + "in.bias", in_bias_);
  visitor(prefix + "out.weight", out_weight_);
  visitor(prefix + "out.bias", out_bias_);
}

std::unique_ptr<Module> SwitchLayer::clone(Context& context) const {
  return std::unique_ptr<Module>(new SwitchLayer(*this, context));
}

}  // namespace alma
