#include <charconv>
#include <cstdio>
#include <sstream>

#include "alma/config/config_schema.h"

namespace alma {

std::string toml_number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string digits(text, end);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits;
}

std::string toml_string(const std::string& value) {
  std::string text = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(c));
      text += code;
    } else {
      text += c;
    }
  }
  return text + '"';
}

std::string allowed_values(const Key& key) {
  std::ostringstream text;
  if (key.lowest != key.highest) {
    text.precision(16);
    text << key.lowest << " .. " << key.highest;
  }
  for (std::size_t i = 0; i < key.choices.size(); ++i) text << (i ? " | " : "") << key.choices[i];
  return text.str();
}

namespace {

struct WriteValue {
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const std::int64_t* value) const { return std::to_string(*value); }
  std::string operator()(const double* value) const { return toml_number(*value); }
  std::string operator()(const std::string* value) const { return toml_string(*value); }
  std::string operator()(const std::vector<double>* values) const {
    std::string text = "[";
    for (double value : *values) text += (text.size() > 1 ? ", " : "") + toml_number(value);
    return text + "]";
  }
};

std::string value_of(const Key& key, Config config) { return std::visit(WriteValue{}, key.field(config)); }

// A TOML comment, broken at spaces.
std::string comment(const std::string& text) {
  constexpr std::size_t width = 118;
  std::string lines;
  for (std::size_t start = 0; start < text.size();) {
    std::size_t end = text.size();
    if (end - start > width) end = text.rfind(' ', start + width);
    lines += "# " + text.substr(start, end - start) + "\n";
    start = end + 1;
  }
  return lines;
}

}  // namespace

std::string write_config(const Config& config, bool docs) {
  std::string text;
  std::string_view section;
  for (const Key& key : config_keys()) {
    if (key.section != section) {
      section = key.section;
      text += (docs ? "\n[" : "[") + std::string(section) + "]\n";
    }
    if (docs) {
      const std::string values = allowed_values(key);
      std::string doc = std::string(key.doc) + (values.empty() ? "" : "; " + values);
      for (const std::string_view name : key.report_only)
        doc += "; " + std::string(name) + ": not trained by this version, but alma report reads runs of it";
      text += comment(doc);
    }
    text += std::string(key.name) + " = " + value_of(key, config) + "\n";
  }
  return text;
}

std::vector<ConfigValue> list_config(const Config& config) {
  std::vector<ConfigValue> values;
  for (const Key& key : config_keys()) {
    const std::string value = value_of(key, config);
    values.push_back({key.full_name(), value, value == value_of(key, Config{})});
  }
  return values;
}

std::vector<ConfigDifference> differences(const Config& a, const Config& b) {
  std::vector<ConfigDifference> found;
  for (const Key& key : config_keys()) {
    const std::string value_a = value_of(key, a), value_b = value_of(key, b);
    if (value_a != value_b) found.push_back({key.full_name(), value_a, value_b});
  }
  return found;
}

std::string learner_name(const Config& config) {
  const Config::Learner& learner = config.learner;
  const std::string members = std::to_string(learner.members);
  const bool language = config.stream.dataset == "text", single = learner.method == "gens" && learner.members == 1;
  // What stands behind the name of a learner of many models.
  const std::string experts = language ? std::to_string(config.model.experts) : "";
  const std::string many = single ? experts : language ? experts + "@" + members : members;
  if (learner.method == "ens") return "Ens" + many;
  if (learner.method == "umix") return "UMix" + many;
  if (learner.method == "gens") return "gEns" + many;
  return (learner.method == "gmoe" ? "gMoE" : "SM") + experts;
}

}  // namespace alma
