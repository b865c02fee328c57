#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// The structures of models, for a checkpoint: groups of consecutive models of equal structure.
nlohmann::json structures_in_groups(const std::vector<std::unique_ptr<Module>>& models);

/// Models of the structures in a saved state, "models" and "members", with values still to be filled in. Throws Error
/// (ErrorKind::data) if they are fewer than `least`, or larger together than the saved tensors.
std::vector<std::unique_ptr<Module>> models_of_groups(const nlohmann::json& state, const std::vector<NamedTensor>& tensors,
                                                      std::int64_t least,
                                                      const std::function<Context&(std::int64_t model)>& context_of);

}  // namespace alma
