#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace alma {

// Reading JSON from files that may be damaged, foreign or malicious. Every failure is a JsonError that names the key and
// what was found; the caller adds the file.

/// A fault in JSON that was read, or in a value in it.
class __attribute__((visibility("default"))) JsonError : public Error {
 public:
  explicit JsonError(const std::string& message) : Error(ErrorKind::data, message) {}
};

/// Parses a whole text in UTF-8. Nesting deeper than 64 levels is refused, since code that walks through a value recurses. A
/// key that occurs twice in one object is refused too, since other readers take another of its values.
nlohmann::json parse_json(std::string_view text);

/// A member of a value that must be an object.
const nlohmann::json& json_member(const nlohmann::json& object, const std::string& key);

/// An integer in least .. most. Any other number is refused before a conversion. `name` is for the message.
std::int64_t to_integer(const nlohmann::json& value, const std::string& name,
                        std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                        std::int64_t most = std::numeric_limits<std::int64_t>::max());
/// A finite number.
double to_number(const nlohmann::json& value, const std::string& name);

/// The same for members of an object; strings and booleans likewise.
std::int64_t json_integer(const nlohmann::json& object, const std::string& key,
                          std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                          std::int64_t most = std::numeric_limits<std::int64_t>::max());
double json_number(const nlohmann::json& object, const std::string& key);
std::string json_text(const nlohmann::json& object, const std::string& key);
bool json_flag(const nlohmann::json& object, const std::string& key);

}  // namespace alma
