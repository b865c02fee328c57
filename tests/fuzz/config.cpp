// Configurations, and what --set adds to them.
#include "alma/config/config.h"

#include "alma/config/config_check.h"
#include "alma/config/kinds.h"
#include "alma/config/shipped_configs.h"
#include "base/utf8.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

void read(std::string_view input) {
  auto [text, set, another] = parts_of<3>(input);
  std::vector<std::string> sets;
  for (const std::string_view one : {set, another})
    if (!one.empty()) sets.emplace_back(one);
  const Config config = parse_config(text, "fuzz", sets);
  for (const bool docs : {false, true}) {
    const std::string written = write_config(config, docs);
    require(!first_invalid_utf8(written), "written as bytes that are no text");
    const Config again = parse_config(written, "fuzz");
    require(differences(config, again).empty(), "another configuration");
    require(write_config(again, docs) == written, "written in another way");
  }
  require(!learner_name(config).empty() && !model_size(config).empty(), "no name");
  count_models(config, 3);
  check_trainable(config);
}

std::vector<std::string> seeds() {
  const std::string between(kBetween);
  std::vector<std::string> all = {
      write_config(Config{}),
      "seed = 3\n" + between + "learner.wait=10" + between + "stream.train_images=a \"b\"",
      "[stream]\ndataset = 'idx'\ntrain_images = \"\\u00e9\\t\"\nmean = [0.5, nan, -inf]\nstd = [1, 2.5e-3, 0x10]\n",
      "learner.method = \"ens\"\nlearner.members = 2\n[model]\nwidth = 1_000\n",
      "[train]\nlr = 1979-05-27T07:32:00Z\n" + between + "train.lr=[[[{a={b=1}}]]]",
      "[learner]\nwait = \"auto\"\n"};
  for (const char* name : {"mnist-ens4.toml", "cifar10-umix2.toml", "cifar10-gens.toml"})
    all.push_back(*find_shipped_config(name));
  return all;
}

const Registered target{{"config", ErrorKind::usage, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
