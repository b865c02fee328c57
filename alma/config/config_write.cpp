#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "alma/config/config.h"
#include "alma/config/config_schema.h"

namespace alma {

std::string toml_number(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
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
    if (!key.words().empty()) text << " | ";
  }
  text << available_words(key.words());
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

// A TOML comment, wrapped at spaces; the lines after the first are indented.
std::string comment(const std::string& text, std::size_t indent = 0) {
  constexpr std::size_t width = 118;
  std::string lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::string margin(start == 0 ? 0 : indent, ' ');
    std::size_t end = text.size();
    if (end - start > width - margin.size()) end = text.rfind(' ', start + width - margin.size());
    lines += "# " + margin + text.substr(start, end - start) + "\n";
    start = end + 1;
  }
  return lines;
}

std::string documentation(const Key& key) {
  std::string doc(key.doc);
  const std::vector<Word> words = key.words();
  const bool explained = std::any_of(words.begin(), words.end(), [](const Word& word) { return !word.doc.empty(); });
  const std::string values = allowed_values(key), kinds = kinds_with(key.full_name());
  if (!kinds.empty()) doc += " For " + kinds + " only.";
  if (!values.empty() && !explained) doc += " Allowed: " + values + ".";
  std::string text = comment(doc);
  for (const Word& word : words)
    if (explained && word.available != Available::planned) text += comment("  " + word.name + ": " + word.doc, 4);
  return text;
}

}  // namespace

std::string value_of(const Key& key, Config config) {
  const Field field = key.field(config);
  if (const auto* number = std::get_if<std::int64_t*>(&field); number != nullptr && **number == 0 && !key.words().empty())
    return toml_string(key.words()[0].name);
  return std::visit(WriteValue{}, field);
}

std::string write_config(const Config& config, bool docs) {
  std::string text;
  std::string_view section;
  for (const Key& key : config_keys()) {
    if (key.section != section) {
      section = key.section;
      text += (docs ? "\n[" : "[") + std::string(section) + "]\n";
    }
    if (docs) text += documentation(key);
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

}  // namespace alma
