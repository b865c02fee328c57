#include "alma/config/config.h"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "alma/config/config_check.h"
#include "alma/config/config_schema.h"
#include "alma/config/kinds.h"
#include "alma/config/read_value.h"
#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"

namespace alma {

namespace {

// The part of a configuration that has been read so far.
struct Reading {
  Config config;
  bool members_given = false, experts_given = false;
};

void read_key(Reading& reading, const std::string& full_name, const toml::node& node, const std::string& where) {
  read_value(reading.config, find_key(full_name, where), node, where);
  if (full_name == "learner.members") reading.members_given = true;
  if (full_name == "model.experts") reading.experts_given = true;
}

void read_file(Reading& reading, std::string_view text, const std::string& name) {
  try {
    const toml::table table = toml::parse(text, name);
    const auto where = [&](const toml::node& node) { return name + ":" + std::to_string(node.source().begin.line); };
    for (const auto& [key, node] : table) {
      const std::string section(key.str());
      const auto* entries = node.as_table();
      if (entries == nullptr || section == "seed") {
        read_key(reading, section, node, where(node));
        continue;
      }
      check_section(section, where(node));
      for (const auto& [entry, value] : *entries)
        read_key(reading, section + "." + std::string(entry.str()), value, where(value));
    }
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::usage, name, ":", error.source().begin.line, ":", error.source().begin.column,
         ": not valid TOML: ", error.description());
  }
}

void apply_set(Reading& reading, const std::string& set) {
  const std::size_t equals = set.find('=');
  if (equals == std::string::npos || equals == 0)
    fail(ErrorKind::usage, "--set ", set, ": expected section.key=value, such as --set learner.wait=10");
  const std::string full_name = set.substr(0, equals), text = set.substr(equals + 1);
  if (const auto wrong = first_invalid_utf8(set))
    fail(ErrorKind::usage, "--set ", shown_bytes(set), ": byte ", *wrong + 1,
         " is not UTF-8, the encoding of config.toml; rename the file, or name it by a symbolic link whose path is UTF-8");
  toml::table table;
  try {
    table = toml::parse("value = " + text);
  } catch (const toml::parse_error&) {
    table.clear();
  }
  if (table.size() != 1 || !table.contains("value")) {  // not TOML: a string without quotes, such as a path
    table.clear();
    table.insert("value", text);
  }
  read_key(reading, full_name, *table.get("value"), "--set " + set);
}

}  // namespace

std::string toml_library_version() {
  return std::to_string(TOML_LIB_MAJOR) + "." + std::to_string(TOML_LIB_MINOR) + "." + std::to_string(TOML_LIB_PATCH);
}

Config parse_unchecked(std::string_view text, const std::string& name, const std::vector<std::string>& sets) {
  Reading reading;
  read_file(reading, text, name);
  for (const std::string& set : sets) apply_set(reading, set);
  const LearnerKind& kind = learner_kind(reading.config);
  if (!reading.members_given) reading.config.learner.members = kind.members;
  if (!reading.experts_given) reading.config.model.experts = kind.experts;
  return reading.config;
}

Config parse_config(std::string_view text, const std::string& name, const std::vector<std::string>& sets) {
  Config config = parse_unchecked(text, name, sets);
  check_together(config, sets.empty() ? name : name + " with --set");
  return config;
}

Config load_config(const std::filesystem::path& path, const std::vector<std::string>& sets) {
  const auto text = read_text(path);
  if (!text)
    fail(ErrorKind::usage, "cannot read the configuration ", path.string(), ": ", std::strerror(errno),
         "; expected a TOML file, such as those in alma/configs");
  return parse_config(*text, path.string(), sets);
}

}  // namespace alma
