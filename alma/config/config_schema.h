#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alma/config/config_struct.h"
#include "alma/config/words.h"

namespace alma {

/// Where a key's value is kept in a Config.
using Field = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<double>*>;

/// All that is known about a key. Reading, checking, printing and comparing follow from it.
struct Key {
  std::string_view section, name;  // section "" for the top level
  Field (*field)(Config&);
  std::string_view doc;                         // sentences
  double lowest = 0, highest = 0;               // numbers, both allowed
  std::vector<Word> fixed_words = {};           // those that a string may be; none: any text. A number may be planned ones
  std::vector<Word> (*kind_words)() = nullptr;  // instead, where each word is a row of alma/config/kinds.h

  std::vector<Word> words() const { return kind_words != nullptr ? kind_words() : fixed_words; }
  std::string full_name() const {
    return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
  }
};

/// Every key in the order of the file: the top level first, then one section after the other.
const std::vector<Key>& config_keys();

/// The words of the kinds for which a key exists: "learner.method = ens, umix or gens"; empty for a key that all kinds have.
std::string kinds_with(const std::string& full_name);

/// The key of a name such as "learner.wait". Throws Error(ErrorKind::usage) that names its nearest neighbour and `where`.
const Key& find_key(const std::string& full_name, const std::string& where);

/// Throws Error(ErrorKind::usage) for a name that is no section, with its nearest neighbour and `where`.
void check_section(const std::string& section, const std::string& where);

/// The value that a configuration has for a key, as TOML.
std::string value_of(const Key& key, Config config);

// Parts of messages and of written files.

/// The shortest TOML float that reads back to the same bits.
std::string toml_number(double value);
/// In quotes, with escapes.
std::string toml_string(const std::string& value);
/// "1 .. 500", or "sgd | adam", the words that this version has; empty if everything is allowed.
std::string allowed_values(const Key& key);

}  // namespace alma
