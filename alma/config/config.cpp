#include "alma/config/config.h"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "alma/config/config_schema.h"
#include "alma/config/edit_distance.h"
#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"

namespace alma {

namespace {

// ---- reading
// ---------------------------------------------------------------------------------------------------------------

// A value and where it stands.
struct Found {
  const Key& key;
  const toml::node& node;
  std::string where;

  [[noreturn]] void wrong(const std::string& what) const {
    fail(ErrorKind::usage, key.full_name(), ' ', what, " (", where, ')');
  }
  [[noreturn]] void wrong_type(const char* expected) const {
    wrong("must be " + std::string(expected) + ", found " + shown());
  }
  std::string shown() const {
    std::ostringstream text;
    if (const auto* value = node.as_string()) {
      text << "the string " << toml_string(value->get());
    } else if (const auto* integer = node.as_integer()) {
      text << "the integer " << integer->get();
    } else if (const auto* real = node.as_floating_point()) {
      text << "the number " << toml_number(real->get());
    } else if (const auto* boolean = node.as_boolean()) {
      text << (boolean->get() ? "true" : "false");
    } else if (node.is_table()) {
      text << "a table";
    } else if (node.is_array()) {
      text << "an array";
    } else {
      text << "a date or time";
    }
    return text.str();
  }
  void check_range(double value) const {
    if (value >= key.lowest && value <= key.highest) return;
    std::ostringstream text;
    text << "= " << (node.is_integer() ? std::to_string(node.as_integer()->get()) : toml_number(value))
         << " is out of range, expected " << allowed_values(key);
    wrong(text.str());
  }
  // A number's key may have names too, in versions to come: learner.wait = "auto".
  void check_planned() const {
    const auto* name = node.as_string();
    if (name == nullptr || std::find(key.planned.begin(), key.planned.end(), name->get()) == key.planned.end()) return;
    wrong("= " + toml_string(name->get()) + " is not available; this version has: " + allowed_values(key));
  }
};

double read_number(const Found& found, const toml::node& node, const char* expected) {
  const auto value = node.value_exact<double>();
  const auto integer = node.value_exact<std::int64_t>();
  if (!value && !integer) found.wrong_type(expected);
  const double number = value ? *value : static_cast<double>(*integer);
  found.check_range(number);
  return number;
}

struct ReadValue {
  const Found& found;

  void operator()(bool* target) const {
    const auto value = found.node.value_exact<bool>();
    if (!value) found.wrong_type("true or false");
    *target = *value;
  }
  void operator()(std::int64_t* target) const {
    const auto value = found.node.value_exact<std::int64_t>();
    if (!value) found.wrong_type("an integer");
    found.check_range(static_cast<double>(*value));
    *target = *value;
  }
  void operator()(double* target) const { *target = read_number(found, found.node, "a number"); }
  void operator()(std::string* target) const {
    const auto value = found.node.value_exact<std::string>();
    if (!value) found.wrong_type("a string");
    const auto& choices = found.key.choices;
    const auto& report_only = found.key.report_only;
    const bool known = std::find(choices.begin(), choices.end(), *value) != choices.end() ||
                       std::find(report_only.begin(), report_only.end(), *value) != report_only.end();
    if (!choices.empty() && !known)
      found.wrong("= " + toml_string(*value) + " is not known, expected " + allowed_values(found.key));
    *target = *value;
  }
  void operator()(std::vector<double>* target) const {
    const auto* array = found.node.as_array();
    if (array == nullptr) found.wrong_type("an array of numbers");
    target->clear();
    for (const toml::node& node : *array) target->push_back(read_number(found, node, "an array of numbers"));
  }
};

// "learner.wait" into its section and its name.
std::pair<std::string, std::string> split_name(const std::string& full_name) {
  const std::size_t dot = full_name.find('.');
  if (dot == std::string::npos) return {"", full_name};
  return {full_name.substr(0, dot), full_name.substr(dot + 1)};
}

[[noreturn]] void unknown_key(const std::string& section, const std::string& name, const std::string& where) {
  // A right name in the wrong section is nearer than another name in the right one.
  const Key* nearest = nullptr;
  std::size_t smallest = 0;
  for (const Key& key : config_keys()) {
    const std::size_t distance = 2 * edit_distance(name, key.name) + (section == key.section ? 0 : 1);
    if (nearest == nullptr || distance < smallest) nearest = &key, smallest = distance;
  }
  const std::string full_name = section.empty() ? name : section + "." + name;
  fail(ErrorKind::usage, "unknown key ", full_name, " (", where, "); did you mean ", nearest->full_name(),
       "? `alma run --print-config` lists all keys");
}

void check_section(const std::string& section, const std::string& where) {
  std::vector<std::string_view> sections;
  for (const Key& key : config_keys())
    if (!key.section.empty() && (sections.empty() || sections.back() != key.section)) sections.push_back(key.section);
  if (std::find(sections.begin(), sections.end(), section) != sections.end()) return;
  const auto nearest = std::min_element(sections.begin(), sections.end(), [&](std::string_view a, std::string_view b) {
    return edit_distance(section, a) < edit_distance(section, b);
  });
  fail(ErrorKind::usage, "unknown section [", section, "] (", where, "); did you mean [", *nearest,
       "]? `alma run --print-config` lists all keys");
}

const Key& known_key(const std::string& section, const std::string& name, const std::string& where) {
  for (const Key& key : config_keys())
    if (key.section == section && key.name == name) return key;
  unknown_key(section, name, where);
}

// A configuration in the making.
struct Reading {
  Config config;
  bool members_given = false;
};

void read_key(Reading& reading, const std::string& section, const std::string& name, const toml::node& node,
              const std::string& where) {
  const Key& key = known_key(section, name, where);
  const Found found{key, node, where};
  found.check_planned();
  std::visit(ReadValue{found}, key.field(reading.config));
  if (key.full_name() == "learner.members") reading.members_given = true;
}

void read_file(Reading& reading, std::string_view text, const std::string& name) {
  try {
    const toml::table table = toml::parse(text, name);
    const auto where = [&](const toml::node& node) { return name + ":" + std::to_string(node.source().begin.line); };
    for (const auto& [key, node] : table) {
      const std::string section(key.str());
      const auto* entries = node.as_table();
      if (entries == nullptr || section == "seed") {
        read_key(reading, "", section, node, where(node));
        continue;
      }
      check_section(section, where(node));
      for (const auto& [entry, value] : *entries) read_key(reading, section, std::string(entry.str()), value, where(value));
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
    fail(
        ErrorKind::usage, "--set ", shown_bytes(set), ": byte ", *wrong + 1,
        " is not UTF-8, which config.toml is written in; rename the file, or reach it by a symbolic link with another name");
  const auto [section, name] = split_name(full_name);
  toml::table table;
  try {
    table = toml::parse("value = " + text);
  } catch (const toml::parse_error&) {
    table.clear();
  }
  if (table.size() != 1 || !table.contains("value")) {  // not TOML: a word or a path without quotes
    table.clear();
    table.insert("value", text);
  }
  if (!section.empty()) check_section(section, "--set " + set);
  read_key(reading, section, name, *table.get("value"), "--set " + set);
}

}  // namespace

std::string toml_library_version() {
  return std::to_string(TOML_LIB_MAJOR) + "." + std::to_string(TOML_LIB_MINOR) + "." + std::to_string(TOML_LIB_PATCH);
}

const Key& find_key(const std::string& full_name, const std::string& where) {
  const auto [section, name] = split_name(full_name);
  if (!section.empty()) check_section(section, where);
  return known_key(section, name, where);
}

Config parse_config(std::string_view text, const std::string& name, const std::vector<std::string>& sets) {
  Reading reading;
  read_file(reading, text, name);
  for (const std::string& set : sets) apply_set(reading, set);
  Config& config = reading.config;
  if (config.learner.method == "gens" && !reading.members_given) config.learner.members = 1;
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
