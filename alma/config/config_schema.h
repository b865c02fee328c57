#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alma/config/config_struct.h"
#include "alma/config/words.h"

namespace alma {

/// The field of a Config that holds a key's value.
using Field = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<double>*>;

/// A key of the configuration; reading, checking, printing and comparing follow from this description.
struct Key {
  std::string_view section, name;  // section "" for the top level
  Field (*field)(Config&);
  std::string_view doc;                         // sentences
  double lowest = 0, highest = 0;               // limits of numbers, inclusive
  std::vector<Word> fixed_words = {};           // allowed strings; empty: any text. Of a whole number: a word for 0
  std::vector<Word> (*kind_words)() = nullptr;  // in place of fixed_words, where the words are rows of alma/config/kinds.h

  std::vector<Word> words() const { return kind_words != nullptr ? kind_words() : fixed_words; }
  std::string full_name() const {
    return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
  }
};

/// All keys, in the order of the file: the top level first, then one section after the other.
const std::vector<Key>& config_keys();

/// The kinds for which a key exists: "learner.method = ens, umix or gens"; empty for a key that exists for all kinds.
std::string kinds_with(const std::string& full_name);

/// The key with a name such as "learner.wait". Throws Error(ErrorKind::usage) that names its nearest neighbour and `where`.
const Key& find_key(const std::string& full_name, const std::string& where);

/// Throws Error(ErrorKind::usage) for an unknown section; it names the nearest neighbour and `where`.
void check_section(const std::string& section, const std::string& where);

/// The value of a key in a configuration, as TOML.
std::string value_of(const Key& key, Config config);

// Parts of messages and of written files.

/// The shortest TOML float that reads back to the same bits.
std::string toml_number(double value);
/// A TOML string, in quotes and with escapes.
std::string toml_string(const std::string& value);
/// The allowed values, "1 .. 500" or "sgd | adam" (the words that this version has); empty if everything is allowed.
std::string allowed_values(const Key& key);

}  // namespace alma
