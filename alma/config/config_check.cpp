#include "alma/config/config_check.h"

#include <algorithm>

#include "alma/config/config_schema.h"
#include "alma/config/kinds.h"
#include "base/error.h"

namespace alma {

namespace {

/// Checks that the strings and flags of keys that only other rows of the table list have their default values.
template <class Row>
void check_kind(const Config& config, const std::deque<Row>& rows, const Row& chosen, const char* word,
                const std::string& where) {
  const auto names = [](const Row& row, const std::string& key) {
    return std::find(row.keys.begin(), row.keys.end(), key) != row.keys.end();
  };
  for (const Row& other : rows)
    for (const std::string& full_name : other.keys) {
      if (names(chosen, full_name)) continue;
      const Key& key = find_key(full_name, other.name);
      Config copy = config;
      const Field field = key.field(copy);
      if (!std::holds_alternative<std::string*>(field) && !std::holds_alternative<bool*>(field)) continue;
      const std::string found = value_of(key, config), expected = value_of(key, Config{});
      if (found != expected)
        fail(ErrorKind::usage, full_name, " = ", found, " does not go with ", word, " = \"", chosen.name, "\"; expected ",
             expected, ", or ", kinds_with(full_name), " (", where, ')');
    }
  if (chosen.check) chosen.check(config, where);
}

/// Checks that the network reads the kind of input that the data set provides.
void check_input(const Config& config, const std::string& where) {
  const Input input = data_kind(config).input;
  if (architecture_kind(config).input == input) return;
  std::string expected;
  for (const ArchitectureKind& kind : architecture_kinds())
    if (kind.input == input && kind.available != Available::planned)
      expected += (expected.empty() ? "\"" : " or \"") + kind.name + "\"";
  fail(ErrorKind::usage, "model.architecture = \"", config.model.architecture, "\" does not go with stream.dataset = \"",
       config.stream.dataset, "\"; expected architecture = ", expected, " for \"", config.stream.dataset, "\" (", where,
       ')');
}

/// Of an optimizer that goes on from update to update.
void check_restart(const Config& config, const std::string& where) {
  const LearnerKind& learner = learner_kind(config);
  const char* reason = nullptr;
  if (config.learner.from_scratch) reason = "learner.from_scratch = true, whose models are new at each update";
  if (learner.models && learner.models(config, 1'000'000) > learner.models(config, 1))
    reason = "a learner that adds models, whose optimizers are new";
  if (learner.growths || learner.width) reason = "a learner whose models grow";
  if ((config.train.schedule == "cosine" || config.train.schedule == "linear") &&
      (config.train.max_steps == 0 || config.learner.wait == 0))
    reason =
        "a schedule that ends with the stream, unless train.max_steps and learner.wait say after how many steps that is";
  if (reason != nullptr) fail(ErrorKind::usage, "train.restart = false does not go with ", reason, " (", where, ')');
}

}  // namespace

void check_together(const Config& config, const std::string& where) {
  const Config::Stream& stream = config.stream;
  const Config::Train& train = config.train;
  if (config.learner.wait > stream.mega_batches)
    fail(ErrorKind::usage, "learner.wait = ", config.learner.wait,
         " is more than stream.mega_batches = ", stream.mega_batches,
         "; expected 1 <= wait <= mega_batches, since no update would ever happen (", where, ')');
  check_kind(config, data_kinds(), data_kind(config), "stream.dataset", where);
  check_kind(config, learner_kinds(), learner_kind(config), "learner.method", where);
  check_kind(config, architecture_kinds(), architecture_kind(config), "model.architecture", where);
  check_input(config, where);
  if (train.momentum != 0 && train.optimizer != "sgd" && train.optimizer != "rmsprop")
    fail(ErrorKind::usage, "train.momentum = ", train.momentum, " has no effect on train.optimizer = \"", train.optimizer,
         "\"; expected 0, or optimizer = \"sgd\" or \"rmsprop\" (", where, ')');
  if (train.nesterov && (train.optimizer != "sgd" || train.momentum == 0))
    fail(ErrorKind::usage, "train.nesterov = true needs optimizer = \"sgd\" with train.momentum > 0, found optimizer = \"",
         train.optimizer, "\" with momentum ", train.momentum, " (", where, ')');
  if (!train.restart) check_restart(config, where);
  if (stream.mean.size() != stream.std.size())
    fail(ErrorKind::usage, "stream.mean has ", stream.mean.size(), " and stream.std ", stream.std.size(),
         " numbers; expected one of each per channel, or neither (", where, ')');
}

void check_trainable(const Config& config) {
  for (const Key& key : config_keys()) {
    Config copy = config;
    const Field field = key.field(copy);
    const auto* value = std::get_if<std::string*>(&field);
    const std::vector<Word> words = key.words();
    if (value == nullptr || words.empty()) continue;
    const Word* word = find_word(words, **value);
    if (word != nullptr && word->available == Available::yes) continue;
    fail(ErrorKind::usage, key.full_name(), " = ", toml_string(**value),
         word == nullptr ? " is not known" : " can be neither trained nor evaluated by this version", "; expected ",
         available_words(words));
  }
  const LearnerKind& learner = learner_kind(config);
  if (data_kind(config).input != Input::text || learner.of_text) return;
  std::vector<Word> words;
  for (const LearnerKind& kind : learner_kinds())
    if (kind.of_text) words.push_back({kind.name, ""});
  fail(ErrorKind::usage, "learner.method = \"", learner.name, "\" can be neither trained nor evaluated on text by this ",
       "version; expected ", available_words(words), " (finished runs of it can be shown: alma report DIR)");
}

}  // namespace alma
