#include "alma/sweep/grid.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>

#include "alma/config/config_schema.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace {

constexpr std::size_t kMostPoints = 100'000;

/// Overrides as `--set` takes them: "learner.wait=10".
using Sets = std::vector<std::string>;

/// Sets of which one at a time holds.
using Axis = std::vector<Sets>;

/// A key and the values of which a point has one.
struct Condition {
  std::string key;
  std::vector<std::string> values;  // as list_config() writes them
};
using Exclusion = std::vector<Condition>;

struct Entry {
  std::string key;
  const toml::node* value;

  bool operator<(const Entry& other) const {  // by its place in the file
    const auto &a = value->source().begin, &b = other.value->source().begin;
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  }
};

// As write_config() does.
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

  std::vector<GridPoint> points() const {
    std::size_t count = 1;
    for (const Axis& axis : axes_) {
      if (count > kMostPoints / axis.size())
        fail(ErrorKind::usage, name_, ": more than ", kMostPoints, " combinations; split the sweep");
      count *= axis.size();
    }
    std::vector<GridPoint> points;
    std::set<std::string> names;
    for (std::size_t i = 0; i < count; ++i) {
      GridPoint point = make_point(i);
      if (!excluded(point.config) && names.insert(point.name).second) points.push_back(std::move(point));
    }
    if (points.empty()) fail(ErrorKind::usage, name_, ": every combination is excluded");
    return points;
  }

 private:
  std::string where(const toml::node& node) const { return name_ + ":" + std::to_string(node.source().begin.line); }

  void read_part(const std::string& part, const toml::node& node) {
    if (part == "base") {
      const auto* file = node.as_string();
      if (file == nullptr) fail(ErrorKind::usage, "base must be the name of a TOML file (", where(node), ")");
      const std::filesystem::path path = folder_ / file->get();
      const auto text = read_text(path);
      if (!text) fail(ErrorKind::usage, "cannot read base = ", path, ": ", std::strerror(errno), " (", where(node), ")");
      base_ = *text;
      base_name_ = path.string();
    } else if (part == "set") {
      for (const Entry& entry : entries(part, node)) always_.push_back(entry.key + "=" + to_toml(*entry.value));
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

  Axis axis_of(const std::vector<Entry>& entries) const {
    Axis axis;
    for (const Entry& entry : entries) {
      const auto* values = entry.value->as_array();
      if (values == nullptr || values->empty())
        fail(ErrorKind::usage, entry.key, " must be an array of the values to try, found ", to_toml(*entry.value), " (",
             where(*entry.value), ")");
      if (axis.empty()) axis.resize(values->size());
      if (axis.size() != values->size())
        fail(ErrorKind::usage, entry.key, " has ", values->size(), " values and ", entries[0].key, " has ", axis.size(),
             "; keys of one [[zip]] need equally many (", where(*entry.value), ")");
      for (std::size_t i = 0; i < axis.size(); ++i) axis[i].push_back(entry.key + "=" + to_toml((*values)[i]));
    }
    return axis;
  }

  Exclusion exclusion_of(const std::vector<Entry>& entries) const {
    Exclusion exclusion;
    for (const Entry& entry : entries) {
      Condition condition{entry.key, {}};
      const auto add = [&](const toml::node& value) {
        // A number may be written in several ways: 1 is 1.0 to a key of real numbers.
        const bool real = std::holds_alternative<double*>(find_key(entry.key, "").field(scratch_));
        condition.values.push_back(real && value.is_integer() ? toml_number(*value.value<double>()) : to_toml(value));
      };
      if (const auto* values = entry.value->as_array()) {
        for (const toml::node& value : *values) add(value);
      } else {
        add(*entry.value);
      }
      exclusion.push_back(std::move(condition));
    }
    return exclusion;
  }

  GridPoint make_point(std::size_t index) const {
    Sets sets;
    for (std::size_t i = axes_.size(); i-- > 0; index /= axes_[i].size()) {
      const Sets& one = axes_[i][index % axes_[i].size()];
      sets.insert(sets.begin(), one.begin(), one.end());
    }
    sets.insert(sets.begin(), always_.begin(), always_.end());
    try {
      GridPoint point;
      point.config = parse_config(base_, base_name_.empty() ? name_ : base_name_, sets);
      point.name = run_name(point.config);
      return point;
    } catch (const Error& error) {
      std::string combination;
      for (const std::string& set : sets) combination += (combination.empty() ? "" : ", ") + set;
      fail(error.kind(), error.what(), "\n  in the combination ", combination, " of ", name_,
           "; leave it out with [[exclude]], or correct it");
    }
  }

  bool excluded(const Config& config) const {
    const std::vector<ConfigValue> values = list_config(config);
    const auto has = [&](const Condition& condition) {
      const auto value = std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.key == condition.key; });
      return std::find(condition.values.begin(), condition.values.end(), value->value) != condition.values.end();
    };
    return std::any_of(exclusions_.begin(), exclusions_.end(),
                       [&](const Exclusion& all) { return std::all_of(all.begin(), all.end(), has); });
  }

  std::string name_;
  std::filesystem::path folder_;
  toml::table table_;
  std::string base_, base_name_;
  Sets always_;
  std::vector<Axis> axes_;
  std::vector<Exclusion> exclusions_;
  mutable Config scratch_;  // to ask keys for their types
};

}  // namespace

std::string run_name(const Config& config) {
  const Config::Learner& learner = config.learner;
  std::string name = config.stream.dataset + "-";
  for (const char c : learner_name(config)) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  name += "-h" + std::to_string(config.model.width) + "-w" + std::to_string(learner.wait);
  if (learner.replay) name += "-replay";
  name += "-s" + std::to_string(config.seed);
  std::string content;
  for (const ConfigValue& value : list_config(config))
    if (!value.is_default) content += value.key + " = " + value.value + "\n";
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  return name + "-" + sha256(bytes).substr(0, 8);
}

std::vector<GridPoint> load_grid(const std::filesystem::path& path) {
  const auto text = read_text(path);
  if (!text)
    fail(ErrorKind::usage, "cannot read the sweep ", path.string(), ": ", std::strerror(errno), "; expected a TOML file");
  return parse_grid(*text, path.string(), path.parent_path());
}

std::vector<GridPoint> parse_grid(std::string_view text, const std::string& name, const std::filesystem::path& folder) {
  return GridReader(text, name, folder).points();
}

}  // namespace alma
