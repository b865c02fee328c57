#pragma once
#include <toml++/toml.h>

#include <string>

#include "alma/config/config_schema.h"

namespace alma {

/// Sets a key from the node of a TOML file, wherever it stands: in a configuration, in --set, in a sweep. Throws
/// Error(ErrorKind::usage) that names the key, what was found, what was expected and `where`: wrong type, out of range,
/// unknown word, a word that a later version will have.
void read_value(Config& config, const Key& key, const toml::node& node, const std::string& where);

}  // namespace alma
