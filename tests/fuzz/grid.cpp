// Grids of sweeps: each run is a configuration, under a name that no other has.
#include "alma/sweep/grid.h"

#include <set>

#include "alma/config/shipped_configs.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

constexpr std::size_t kMostCombinations = 2000;

// At least as many as the combinations of the grid's values: a comma stands between two, and each array begins with a
// bracket.
std::size_t most_combinations(std::string_view text) {
  std::size_t product = 1, commas = 0;
  for (const char c : text) {
    if (c == ',') ++commas;
    if (c != '[') continue;
    product *= commas + 1;
    commas = 0;
    if (product > kMostCombinations) return product;
  }
  return product * (commas + 1);
}

void read(std::string_view input) {
  if (most_combinations(input) > kMostCombinations) return;  // honest work that takes seconds
  const Grid grid = parse_grid(input, "fuzz", "/nowhere");
  require(!grid.points.empty(), "no runs");
  std::set<std::string> names;
  for (const GridPoint& point : grid.points) {
    require(names.insert(point.name).second, "two runs of one name");
    require(point.name == run_name(point.config), "a name of another run");
  }
  for (const GridPoint& point : {grid.points.front(), grid.points.back()}) {
    const Config again = parse_config(write_config(point.config), "fuzz");
    require(differences(point.config, again).empty(), "another configuration");
  }
}

std::vector<std::string> seeds() {
  return {
      "base = \"mnist-sm-h4.toml\"\n[set]\n\"train.max_epochs\" = 5\n[axes]\n\"learner.wait\" = [1, 10]\nseed = [0, 1]\n"
      "[[zip]]\n\"learner.method\" = [\"sm\", \"ens\"]\n\"learner.members\" = [1, 4]\n"
      "[[exclude]]\n\"learner.method\" = \"ens\"\n\"learner.wait\" = [1]\n",
      "[axes.learner]\nwait = [1, 2]\n[axes]\nmodel.width = [4, 16]\n[[exclude]]\nmodel.width = 4\nlearner.wait = 2\n",
      "[set]\nstream.mean = [0.5]\n[axes]\n\"stream.std\" = [[1], [2, 3]]\n[[exclude]]\n\"stream.std\" = [[2, 3]]\n",
      "[axes]\nseed = [1, 1, 2]\n",
      *find_shipped_config("sweeps/mnist.toml"),
      *find_shipped_config("sweeps/cifar10.toml"),
      *find_shipped_config("sweeps/fashion.toml")};
}

const Registered target{{"grid", ErrorKind::usage, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
