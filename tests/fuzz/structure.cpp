// Structures of modules: a module that was made says of itself what it was made from.
#include "engine/structure.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "models/module_types.h"
#include "models/umix.h"
#include "models/vgg.h"
#include "tests/fuzz/context.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

constexpr std::size_t kMostBytes = 1 << 16;

void read(std::string_view input) {
  const auto module = module_types().make(context(), parse_json(input), kMostBytes);
  std::size_t bytes = 0;
  const std::vector<NamedTensor> state = named_state(*module);
  for (const auto& [name, tensor] : state) bytes += tensor.bytes();
  require(bytes <= kMostBytes, "more memory than there is");
  const auto again = module_types().make(context(), module->structure(), bytes);
  require(again->structure() == module->structure(), "another structure");
  const std::vector<NamedTensor> same = named_state(*again);
  require(same.size() == state.size(), "another number of tensors");
  for (std::size_t i = 0; i < state.size(); ++i)
    require(same[i].first == state[i].first && same[i].second.shape() == state[i].second.shape(), "another tensor");
}

std::vector<std::string> seeds() {
  RandomStream init{1, "fuzz", 0};
  std::vector<std::unique_ptr<Module>> pair;
  for (const std::int64_t experts : {1, 2}) pair.push_back(make_mlp(context(), {3, 2, 2, experts, 1}, init));
  std::vector<Module*> alike;
  const auto a = make_mlp(context(), {3, 2, 2, 2, 1}, init), b = a->clone(context());
  alike = {a.get(), b.get()};
  const auto grown = make_mlp(context(), {3, 2, 2, 2, 1}, init);
  mixtures_of(*grown)[0]->split(1, 3, init);
  mixtures_of(*grown)[0]->split(3, 2, init);
  return {make_mlp(context(), {3, 2, 2, 2, 2}, init)->structure().dump(),
          grown->structure().dump(),
          make_vgg19(context(), {1, 1, 2, 1}, init)->structure().dump(),
          make_vgg19(context(), {1, 1, 2, 2}, init, DType::f64)->structure().dump(),
          UniformMixture(std::move(pair), true).structure().dump(),
          Stack(alike).structure().dump(),
          R"({"type":"stack","members":65536,"model":{"type":"max_pool"}})",
          R"({"type":"linear","in":2147483647,"out":18446744073709551615,"relu":true,"dtype":"f32"})"};
}

const Registered target{{"structure", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
