#pragma once
#include <string>

namespace alma {

/// The sweep of the paper's grid on "mnist" or "cifar10": alma/configs/sweeps/NAME.toml as it was at build time.
std::string paper_grid(const std::string& data_set);

}  // namespace alma
