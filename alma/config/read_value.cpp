#include "alma/config/read_value.h"

#include <sstream>

#include "base/error.h"

namespace alma {

namespace {

// A value and its place.
struct Found {
  const Key& key;
  const toml::node& node;
  std::string where;

  [[noreturn]] void wrong(const std::string& what) const {
    fail(ErrorKind::usage, key.full_name(), ' ', what, " (", where, ')');
  }
  [[noreturn]] void wrong_type(const std::string& expected) const { wrong("must be " + expected + ", found " + shown()); }
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
  void check_planned() const {
    const auto* name = node.as_string();
    if (name == nullptr) return;
    const std::vector<Word> words = key.words();
    const Word* word = find_word(words, name->get());
    if (word != nullptr && word->available == Available::planned)
      wrong("= " + toml_string(name->get()) + " is not available; this version has: " + allowed_values(key));
  }
};

double read_number(const Found& found, const char* expected) {
  const auto value = found.node.value_exact<double>();
  const auto integer = found.node.value_exact<std::int64_t>();
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
    const std::vector<Word> words = found.key.words();
    const auto* name = found.node.as_string();
    if (name != nullptr && find_word(words, name->get()) != nullptr) {
      *target = 0;
      return;
    }
    const auto value = found.node.value_exact<std::int64_t>();
    if (!value) found.wrong_type(words.empty() ? "an integer" : "an integer or " + toml_string(words[0].name));
    found.check_range(static_cast<double>(*value));
    *target = *value;
  }
  void operator()(double* target) const { *target = read_number(found, "a number"); }
  void operator()(std::string* target) const {
    const auto value = found.node.value_exact<std::string>();
    if (!value) found.wrong_type("a string");
    const std::vector<Word> words = found.key.words();
    if (!words.empty() && find_word(words, *value) == nullptr)
      found.wrong("= " + toml_string(*value) + " is not known, expected " + available_words(words) +
                  did_you_mean(words, *value));
    *target = *value;
  }
  void operator()(std::vector<double>* target) const {
    const auto* array = found.node.as_array();
    if (array == nullptr) found.wrong_type("an array of numbers");
    target->clear();
    for (const toml::node& node : *array)
      target->push_back(read_number({found.key, node, found.where}, "an array of numbers"));
  }
};

}  // namespace

void read_value(Config& config, const Key& key, const toml::node& node, const std::string& where) {
  const Found found{key, node, where};
  found.check_planned();
  std::visit(ReadValue{found}, key.field(config));
}

}  // namespace alma
