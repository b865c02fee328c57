#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// The same tensors under `prefix` + name: how the parts of a learner share one checkpoint.
std::vector<NamedTensor> with_prefix(const std::string& prefix, std::vector<NamedTensor> tensors);

/// The tensors of a checkpoint under `prefix`, without it, one for each of `like` and in its order. Throws Error
/// (ErrorKind::data) if one is missing or has another shape or dtype.
std::vector<NamedTensor> without_prefix(const std::string& prefix, const std::vector<NamedTensor>& tensors,
                                        const std::vector<NamedTensor>& like);

}  // namespace alma
