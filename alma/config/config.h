#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "alma/config/config_check.h"
#include "alma/config/config_struct.h"

namespace alma {

/// Reads a TOML file, then the overrides "section.key=value" in order (the value is read as TOML; what is not TOML is a
/// string), and checks the whole. Throws Error(ErrorKind::usage) that names the key and its place: invalid TOML, an unknown
/// key (with its nearest neighbour), a wrong type, a value out of range, an unknown name, or a name that this version does
/// not have yet.
Config load_config(const std::filesystem::path& path, const std::vector<std::string>& sets = {});

/// The same, read from a text; messages call it `name`.
Config parse_config(std::string_view text, const std::string& name, const std::vector<std::string>& sets = {});

/// The same without the checks across keys: for a sweep, which may exclude contradictory combinations.
Config parse_unchecked(std::string_view text, const std::string& name, const std::vector<std::string>& sets = {});

/// The complete configuration as TOML, which parse_config() reads back to the same Config; with `docs`, a comment explains
/// each key.
std::string write_config(const Config& config, bool docs = false);

/// One key: "stream.mega_batches" and its value as TOML.
struct ConfigValue {
  std::string key, value;
  bool is_default = true;
};
/// All keys, in the order of the file.
std::vector<ConfigValue> list_config(const Config& config);

/// The keys that differ between two configurations, each with both values as TOML.
struct ConfigDifference {
  std::string key, a, b;
};
std::vector<ConfigDifference> differences(const Config& a, const Config& b);

/// The version of toml++ that reads the files.
std::string toml_library_version();

}  // namespace alma
