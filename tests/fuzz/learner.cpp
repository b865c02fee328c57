// What a learner has saved: a state, and tensors. The first byte says which learner it is given to.
#include "alma/learn/learner.h"

#include <nlohmann/json.hpp>

#include "alma/config/config.h"
#include "alma/learn/kinds.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/safetensors.h"
#include "tests/fuzz/context.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

std::unique_ptr<Learner> learner_of(char first) {
  static const std::vector<std::string> methods = {"sm", "ens", "umix", "gens"};
  const std::size_t choice = static_cast<unsigned char>(first);
  Config config;
  config.learner.method = methods[choice % 4];
  config.learner.members = 2;
  config.model.width = 2;
  config.model.experts = choice % 8 < 4 ? 1 : 2;
  static const InputDescription input{.channels = 1, .height = 2, .width = 2, .mean = {0.5f}, .std = {0.5f}, .classes = 2};
  return make_learner(config, context(), input);
}

void read(std::string_view input) {
  if (input.empty()) return;
  const auto [text, tensors] = parts_of<2>(input.substr(1));
  const nlohmann::json state = parse_json(text);
  const auto learner = learner_of(input[0]);
  learner->load(load_safetensors(write_file("tensors", tensors), context()), state);
  const nlohmann::json saved = learner->state();
  const auto again = learner_of(input[0]);
  again->load(learner->tensors(), saved);
  require(again->state() == saved && again->parameters() == learner->parameters(), "another learner");
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const char first : {0, 1, 2, 3, 4, 5}) {
    const auto learner = learner_of(first);
    const std::string path = write_file("tensors", "");
    save_safetensors(path, learner->tensors());
    all.push_back(first + learner->state().dump() + std::string(kBetween) + read_text(path).value());
  }
  return all;
}

const Registered target{{"learner", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
