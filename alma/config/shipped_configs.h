#pragma once
#include <string>
#include <string_view>

namespace alma {

// The files of alma/configs as they were at build time: they are part of the program, wherever it is installed.

/// The text of "fashion.toml" or "sweeps/mnist.toml"; null if there is none of that name.
const std::string* find_shipped_config(std::string_view name);

/// The names of those that are no sweeps: "cifar10-sm.toml, fashion.toml".
std::string shipped_config_names();

}  // namespace alma
