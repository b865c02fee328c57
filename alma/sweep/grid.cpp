#include "alma/sweep/grid.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "alma/config/config_check.h"
#include "alma/config/config_schema.h"
#include "alma/config/kinds.h"
#include "alma/config/read_value.h"
#include "alma/config/shipped_configs.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace {

constexpr std::size_t kMostPoints = 100'000;

/// Overrides as `--set` takes them, each value as write_config() writes it: "learner.wait=10".
using Sets = std::vector<std::string>;

/// An axis: sets of overrides, one of which is used at a time.
using Axis = std::vector<Sets>;

/// A key and its values; each point has one of them.
struct Condition {
  std::string key;
  std::vector<std::string> values;  // in the form of list_config()
};
struct Exclusion {
  std::vector<Condition> conditions;
  std::string where;
};

struct Entry {
  std::string key;
  const toml::node* value;

  bool operator<(const Entry& other) const {  // ordered by the place in the file
    const auto &a = value->source().begin, &b = other.value->source().begin;
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  }
};

// The text of a value for messages.
std::string to_toml(const toml::node& value) {
  if (const auto* text = value.as_string()) return toml_string(text->get());
  std::ostringstream text;
  value.visit([&](const auto& node) { text << node; });
  return text.str();
}

class GridReader {
 public:
  GridReader(std::string_view text, std::string name, std::filesystem::path folder)
      : name_(std::move(name)), folder_(std::move(folder)) {
    try {
      table_ = toml::parse(text, name_);
    } catch (const toml::parse_error& error) {
      fail(ErrorKind::usage, name_, ":", error.source().begin.line, ":", error.source().begin.column,
           ": not valid TOML: ", error.description());
    }
    std::vector<Entry> parts;
    for (const auto& [key, node] : table_) parts.push_back({std::string(key.str()), &node});
    std::sort(parts.begin(), parts.end());
    for (const Entry& part : parts) read_part(part.key, *part.value);
  }

  Grid grid() const {
    std::size_t count = 1;
    for (const Axis& axis : axes_) {
      if (count > kMostPoints / axis.size())
        fail(ErrorKind::usage, name_, ": more than ", kMostPoints, " combinations; split the sweep");
      count *= axis.size();
    }
    Grid grid;
    std::set<std::string> names;
    std::vector<bool> used(exclusions_.size());
    std::size_t equal = 0;
    std::string first_equal;
    for (std::size_t i = 0; i < count; ++i) {
      const Sets sets = sets_of(i);
      const Config config = read_config(sets);
      if (excluded(config, used)) continue;
      check(config, sets);
      std::string name = run_name(config);
      if (names.insert(name).second) {
        grid.points.push_back({std::move(name), config});
      } else if (++equal == 1) {
        first_equal = shown(sets);
      }
    }
    if (grid.points.empty()) fail(ErrorKind::usage, name_, ": every combination is excluded");
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) grid.warnings.push_back("[[exclude]] matches no combination (" + exclusions_[i].where + ")");
    if (equal > 0)
      grid.warnings.push_back(std::to_string(equal) + " of " + std::to_string(count) +
                              " combinations equal others and run once, the first of them " + first_equal + " (" + name_ +
                              ")");
    return grid;
  }

 private:
  std::string where(const toml::node& node) const { return name_ + ":" + std::to_string(node.source().begin.line); }

  void read_part(const std::string& part, const toml::node& node) {
    if (part == "base") {
      const auto* file = node.as_string();
      if (file == nullptr) fail(ErrorKind::usage, "base must be the name of a TOML file (", where(node), ")");
      read_base(file->get(), where(node));
    } else if (part == "set") {
      for (const Entry& entry : entries(part, node)) {
        claim(entry, claimed_);
        always_.push_back(entry.key + "=" + value_text(entry.key, *entry.value));
      }
    } else if (part == "axes") {
      for (const Entry& entry : entries(part, node)) axes_.push_back(axis_of({entry}));
    } else if (part == "zip") {
      for (const toml::node& table : tables(part, node)) axes_.push_back(axis_of(entries(part, table)));
    } else if (part == "exclude") {
      for (const toml::node& table : tables(part, node)) exclusions_.push_back(exclusion_of(entries(part, table)));
    } else {
      fail(ErrorKind::usage, "unknown part ", part, " (", where(node),
           "); a sweep has: base, [set], [axes], [[zip]], [[exclude]]");
    }
  }

  // A file, relative to that of the sweep, or else one of the configurations that come with the program.
  void read_base(const std::string& file, const std::string& where) {
    const std::filesystem::path path = folder_ / file;
    if (const auto text = read_text(path)) {
      base_ = *text;
      base_name_ = path.string();
      return;
    }
    const int error = errno;
    const std::string* shipped = error == ENOENT ? find_shipped_config(file) : nullptr;
    if (shipped == nullptr)
      fail(ErrorKind::usage, "cannot read base = ", toml_string(file), " (", where, "): ", path.string(), ": ",
           std::strerror(error), "; expected a file there, or one of those that come with alma: ", shipped_config_names());
    base_ = *shipped;
    base_name_ = "alma's " + file;
  }

  // Checks that no key is given twice.
  void claim(const Entry& entry, std::map<std::string, std::string>& claimed) const {
    const auto [first, is_new] = claimed.try_emplace(entry.key, where(*entry.value));
    if (!is_new)
      fail(ErrorKind::usage, entry.key, " is given twice (", first->second, " and ", where(*entry.value),
           "); expected it in one place of [set], [axes] and [[zip]], and once in an [[exclude]]");
  }

  // Reads and checks the value of a key as in a configuration; returns it in the form of write_config().
  std::string value_text(const std::string& full_name, const toml::node& node) const {
    const Key& key = find_key(full_name, where(node));
    Config config;
    read_value(config, key, node, where(node));
    return value_of(key, config);
  }

  const toml::array& tables(const std::string& part, const toml::node& node) const {
    const auto* array = node.as_array();
    if (array == nullptr || !array->is_homogeneous<toml::table>())
      fail(ErrorKind::usage, part, " must be written as [[", part, "]] (", where(node), ")");
    return *array;
  }

  // The keys of a table in the order of the file: "learner.wait" = 1, learner.wait = 1, or under [axes.learner].
  std::vector<Entry> entries(const std::string& part, const toml::node& node) const {
    const auto* table = node.as_table();
    if (table == nullptr) fail(ErrorKind::usage, part, " must be a table of keys (", where(node), ")");
    std::vector<Entry> found;
    collect(*table, "", found);
    if (found.empty()) fail(ErrorKind::usage, part, " has no keys (", where(node), ")");
    std::sort(found.begin(), found.end());
    return found;
  }
  void collect(const toml::table& table, const std::string& prefix, std::vector<Entry>& found) const {
    for (const auto& [key, node] : table) {
      const std::string full_name = prefix + std::string(key.str());
      if (const auto* inner = node.as_table()) {
        collect(*inner, full_name + ".", found);
      } else {
        find_key(full_name, where(node));
        found.push_back({full_name, &node});
      }
    }
  }

  Axis axis_of(const std::vector<Entry>& entries) {
    Axis axis;
    for (const Entry& entry : entries) {
      claim(entry, claimed_);
      const auto* values = entry.value->as_array();
      if (values == nullptr || values->empty())
        fail(ErrorKind::usage, entry.key, " must be an array of the values to try, found ", to_toml(*entry.value), " (",
             where(*entry.value), ")");
      if (axis.empty()) axis.resize(values->size());
      if (axis.size() != values->size())
        fail(ErrorKind::usage, entry.key, " has ", values->size(), " values and ", entries[0].key, " has ", axis.size(),
             "; keys of one [[zip]] need equally many (", where(*entry.value), ")");
      for (std::size_t i = 0; i < axis.size(); ++i) axis[i].push_back(entry.key + "=" + value_text(entry.key, (*values)[i]));
    }
    return axis;
  }

  Exclusion exclusion_of(const std::vector<Entry>& entries) const {
    Exclusion exclusion{{}, where(*entries[0].value)};
    std::map<std::string, std::string> claimed;
    Config config;
    for (const Entry& entry : entries) {
      claim(entry, claimed);
      Condition condition{entry.key, {}};
      // One value or an array of values; for a key whose value is itself an array, an array of arrays.
      const auto* values = entry.value->as_array();
      const bool is_array = std::holds_alternative<std::vector<double>*>(find_key(entry.key, exclusion.where).field(config));
      if (values != nullptr && values->empty() && !is_array)
        fail(ErrorKind::usage, entry.key, " must be a value or an array of values, found [] (", where(*entry.value), ")");
      if (values != nullptr && (!is_array || values->is_homogeneous<toml::array>())) {
        for (const toml::node& value : *values) condition.values.push_back(value_text(entry.key, value));
      } else {
        condition.values.push_back(value_text(entry.key, *entry.value));
      }
      exclusion.conditions.push_back(std::move(condition));
    }
    return exclusion;
  }

  Sets sets_of(std::size_t index) const {
    Sets sets;
    for (std::size_t i = axes_.size(); i-- > 0; index /= axes_[i].size()) {
      const Sets& one = axes_[i][index % axes_[i].size()];
      sets.insert(sets.begin(), one.begin(), one.end());
    }
    sets.insert(sets.begin(), always_.begin(), always_.end());
    return sets;
  }

  static std::string shown(const Sets& sets) {
    std::string text;
    for (const std::string& set : sets) text += (text.empty() ? "" : ", ") + set;
    return text;
  }

  std::string base_name() const { return base_name_.empty() ? name_ : base_name_; }
  Config read_config(const Sets& sets) const { return parse_unchecked(base_, base_name(), sets); }

  void check(const Config& config, const Sets& sets) const {
    try {
      check_together(config, base_name() + " with --set");
    } catch (const Error& error) {
      fail(error.kind(), error.what(), "\n  in the combination ", shown(sets), " of ", name_,
           "; leave it out with [[exclude]], or correct it");
    }
  }

  /// Marks the exclusions that match in `used`.
  bool excluded(const Config& config, std::vector<bool>& used) const {
    if (exclusions_.empty()) return false;
    const std::vector<ConfigValue> values = list_config(config);
    const auto has = [&](const Condition& condition) {
      const auto value = std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.key == condition.key; });
      return std::find(condition.values.begin(), condition.values.end(), value->value) != condition.values.end();
    };
    bool any = false;
    for (std::size_t i = 0; i < exclusions_.size(); ++i) {
      const std::vector<Condition>& all = exclusions_[i].conditions;
      if (!std::all_of(all.begin(), all.end(), has)) continue;
      used[i] = true;
      any = true;
    }
    return any;
  }

  std::string name_;
  std::filesystem::path folder_;
  toml::table table_;
  std::string base_, base_name_;
  Sets always_;
  std::vector<Axis> axes_;
  std::vector<Exclusion> exclusions_;
  std::map<std::string, std::string> claimed_;  // keys of [set], [axes] and [[zip]], and their places
};

}  // namespace

namespace {

/// A label in a form for file names: "h=64" becomes "h64".
std::string file_name_part(const std::string& label) {
  std::string part;
  for (const char c : label) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '@' || c == '.' || c == '_' || c == '-') {
      part += static_cast<char>(std::tolower(byte));
    } else if (c != '=') {
      part += '-';
    }
  }
  return part;
}

}  // namespace

std::string run_name(const Config& config) {
  const Config::Learner& learner = config.learner;
  std::string name = file_name_part(config.stream.dataset) + "-" + file_name_part(learner_name(config)) + "-" +
                     file_name_part(model_size(config)) + "-w" + wait_name(learner.wait);
  if (learner.replay) name += "-replay";
  name += "-s" + std::to_string(config.seed);
  std::string content;
  for (const ConfigValue& value : list_config(config))
    if (!value.is_default) content += value.key + " = " + value.value + "\n";
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  return name + "-" + sha256(bytes).substr(0, 8);
}

Grid load_grid(const std::filesystem::path& path) {
  const auto text = read_text(path);
  if (!text)
    fail(ErrorKind::usage, "cannot read the sweep ", path.string(), ": ", std::strerror(errno), "; expected a TOML file");
  return parse_grid(*text, path.string(), path.parent_path());
}

Grid parse_grid(std::string_view text, const std::string& name, const std::filesystem::path& folder) {
  return GridReader(text, name, folder).grid();
}

}  // namespace alma
