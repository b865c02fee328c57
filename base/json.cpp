#include "base/json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "base/utf8.h"

namespace alma {

namespace {

constexpr int kDeepest = 64;  // far more than any of our files has

[[noreturn]] void fail_with(const std::string& name, const nlohmann::json& found, const std::string& expected) {
  constexpr std::size_t longest = 60;
  std::string text = found.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > longest) text = text.substr(0, longest) + " ...";
  throw JsonError(name + " is " + text + ", expected " + expected);
}

}  // namespace

nlohmann::json parse_json(std::string_view text) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto watch = [&keys](int levels_around, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && levels_around >= kDeepest)
      throw JsonError("JSON nested deeper than " + std::to_string(kDeepest) + " levels");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second)
      throw JsonError("key " + value.dump(-1, ' ', true) + " is there twice in one object");
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    throw JsonError("not JSON: " + shown_bytes(error.what()));  // which quotes the text, whatever its bytes are
  }
}

const nlohmann::json& json_member(const nlohmann::json& object, const std::string& key) {
  if (!object.is_object()) fail_with("the value that should hold " + key, object, "a JSON object");
  const auto found = object.find(key);
  if (found == object.end()) throw JsonError("key '" + key + "' not found");
  return *found;
}

std::int64_t to_integer(const nlohmann::json& value, const std::string& name, std::int64_t least, std::int64_t most) {
  // Beyond 2^64 the parser makes a double of an integer; up to there it is unsigned.
  const bool too_large = value.is_number_unsigned() &&
                         value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_integer() && !too_large) {
    const auto found = value.get<std::int64_t>();
    if (found >= least && found <= most) return found;
  }
  fail_with(name, value, "an integer in " + std::to_string(least) + " .. " + std::to_string(most));
}

double to_number(const nlohmann::json& value, const std::string& name) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) fail_with(name, value, "a finite number");
  return value.get<double>();
}

std::int64_t json_integer(const nlohmann::json& object, const std::string& key, std::int64_t least, std::int64_t most) {
  return to_integer(json_member(object, key), key, least, most);
}

double json_number(const nlohmann::json& object, const std::string& key) { return to_number(json_member(object, key), key); }

std::string json_text(const nlohmann::json& object, const std::string& key) {
  const nlohmann::json& value = json_member(object, key);
  if (!value.is_string()) fail_with(key, value, "a string");
  return value.get<std::string>();
}

bool json_flag(const nlohmann::json& object, const std::string& key) {
  const nlohmann::json& value = json_member(object, key);
  if (!value.is_boolean()) fail_with(key, value, "true or false");
  return value.get<bool>();
}

}  // namespace alma
