#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alma/config/config.h"

namespace alma {

/// Where a key's value is kept in a Config.
using Field = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<double>*>;

/// All that is known about a key. Reading, checking, printing and comparing follow from it.
struct Key {
  std::string_view section, name;  // section "" for the top level
  Field (*field)(Config&);
  std::string_view doc;                   // one line
  double lowest = 0, highest = 0;         // numbers, both allowed
  std::vector<std::string_view> choices;  // strings: the allowed names; empty: any text
  std::vector<std::string_view> planned;  // names that a later version will have
  // Names that runs may have which `alma report` reads, and that this version cannot train: see check_trainable().
  std::vector<std::string_view> report_only;

  std::string full_name() const {
    return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
  }
};

/// Every key in the order of the file: the top level first, then one section after the other.
const std::vector<Key>& config_keys();

/// The key of a name such as "learner.wait". Throws Error(ErrorKind::usage) that names its nearest neighbour and `where`.
const Key& find_key(const std::string& full_name, const std::string& where);

/// Checks what concerns more than one key. Throws Error(ErrorKind::usage) naming them.
void check_together(const Config& config, const std::string& source);

// Parts of messages and of written files.

/// The shortest TOML float that reads back to the same bits.
std::string toml_number(double value);
/// In quotes, with escapes.
std::string toml_string(const std::string& value);
/// "1 .. 500", or "sgd | adam"; empty if everything is allowed.
std::string allowed_values(const Key& key);

}  // namespace alma
