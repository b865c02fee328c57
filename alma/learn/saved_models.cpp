#include "alma/learn/saved_models.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "models/module_types.h"

namespace alma {

nlohmann::json structures_in_groups(const std::vector<std::unique_ptr<Module>>& models) {
  nlohmann::json groups = nlohmann::json::array();
  for (const auto& model : models) {
    nlohmann::json structure = model->structure();
    if (groups.empty() || groups.back()["structure"] != structure)
      groups.push_back({{"count", 0}, {"structure", std::move(structure)}});
    groups.back()["count"] = groups.back()["count"].get<std::int64_t>() + 1;
  }
  return groups;
}

std::vector<std::unique_ptr<Module>> models_of_groups(const nlohmann::json& state, const std::vector<NamedTensor>& tensors,
                                                      std::int64_t least,
                                                      const std::function<Context&(std::int64_t model)>& context_of) {
  std::size_t bytes_left = 0;
  for (const auto& [name, tensor] : tensors) bytes_left += tensor.bytes();
  std::vector<std::unique_ptr<Module>> models;
  const auto add = [&](const nlohmann::json& structure) {
    models.push_back(module_types().make(context_of(std::ssize(models)), structure, bytes_left));
    const std::vector<NamedTensor> made = named_state(*models.back());
    if (made.empty()) fail(ErrorKind::data, "damaged checkpoint: a model without tensors");
    for (const auto& [name, tensor] : made) bytes_left -= tensor.bytes();
  };
  try {
    for (const nlohmann::json& group : state.at("models"))
      for (std::int64_t count = json_integer(group, "count", 1, std::ssize(tensors)); count > 0; --count)
        add(group.at("structure"));
    const auto expected = json_integer(state, "members", 0);
    if (std::ssize(models) != expected || expected < least)
      fail(ErrorKind::data, "damaged checkpoint: ", models.size(), " models, \"members\" says ", expected, ", at least ",
           least, " train");
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::data, "damaged checkpoint: the structures of its models: ", error.what());
  }
  return models;
}

}  // namespace alma
