#pragma once
#include <string>
#include <string_view>

namespace alma {

// The files of alma/configs as they were at build time; they are embedded in the program.

/// The text of a file such as "fashion.toml" or "sweeps/mnist.toml"; null if there is no file of that name.
const std::string* find_shipped_config(std::string_view name);

/// The names of the files that are not sweeps: "cifar10-sm.toml, fashion.toml".
std::string shipped_config_names();

}  // namespace alma
