#pragma once
#include <toml++/toml.h>

#include <string>

#include "alma/config/config_schema.h"

namespace alma {

/// Sets a key from a TOML node of a configuration, of --set or of a sweep. Throws Error(ErrorKind::usage) that names the
/// key, what was found, what was expected and `where`: a wrong type, a value out of range, an unknown word, or a word that a
/// later version will have.
void read_value(Config& config, const Key& key, const toml::node& node, const std::string& where);

}  // namespace alma
