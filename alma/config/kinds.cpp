#include "alma/config/kinds.h"

#include "base/error.h"

namespace alma {

namespace {

// A deque, whose rows keep their addresses when others are added.
std::deque<LearnerKind>& learners() {
  static std::deque<LearnerKind> rows = built_in_learners();
  return rows;
}
std::deque<ArchitectureKind>& architectures() {
  static std::deque<ArchitectureKind> rows = built_in_architectures();
  return rows;
}
std::deque<DataKind>& data_sets() {
  static std::deque<DataKind> rows = built_in_data();
  return rows;
}

template <class Row>
void add(std::deque<Row>& rows, Row row, const char* key) {
  if (row.name.empty()) fail(ErrorKind::usage, "a word of ", key, " without a name cannot be added; expected one");
  for (const Row& other : rows)
    if (other.name == row.name)
      fail(ErrorKind::usage, key, " = \"", row.name, "\" exists and cannot be added again; expected another name");
  rows.push_back(std::move(row));
}

template <class Row>
const Row& find(const std::deque<Row>& rows, const std::string& name, const char* key) {
  std::vector<Word> words;
  for (const Row& row : rows) {
    if (row.name == name) return row;
    words.push_back({row.name, "", row.available});
  }
  fail(ErrorKind::usage, key, " = \"", name, "\" is not known, expected ", available_words(words),
       did_you_mean(words, name));
}

}  // namespace

const std::deque<LearnerKind>& learner_kinds() { return learners(); }
const std::deque<ArchitectureKind>& architecture_kinds() { return architectures(); }
const std::deque<DataKind>& data_kinds() { return data_sets(); }

void add_learner_kind(LearnerKind kind) { add(learners(), std::move(kind), "learner.method"); }
void add_architecture_kind(ArchitectureKind kind) { add(architectures(), std::move(kind), "model.architecture"); }
void add_data_kind(DataKind kind) { add(data_sets(), std::move(kind), "stream.dataset"); }

const LearnerKind& learner_kind(const Config& config) { return find(learners(), config.learner.method, "learner.method"); }
const ArchitectureKind& architecture_kind(const Config& config) {
  return find(architectures(), config.model.architecture, "model.architecture");
}
const DataKind& data_kind(const Config& config) { return find(data_sets(), config.stream.dataset, "stream.dataset"); }

std::string learner_name(const Config& config) {
  const LearnerKind& kind = learner_kind(config);
  return kind.label ? kind.label(config) : kind.name;
}

std::string wait_name(std::int64_t wait) { return wait == 0 ? "auto" : std::to_string(wait); }

std::string width_label(const Config& config) { return "h=" + std::to_string(config.model.width); }

std::string model_size(const Config& config) {
  const ArchitectureKind& kind = architecture_kind(config);
  return kind.label ? kind.label(config) : kind.name;
}

std::int64_t count_models(const Config& config, std::int64_t updates) {
  const LearnerKind& kind = learner_kind(config);
  return kind.models ? kind.models(config, updates) : 0;
}

std::int64_t count_growths(const Config& config, std::int64_t update) {
  const LearnerKind& kind = learner_kind(config);
  return kind.growths ? kind.growths(config, update) : 0;
}

std::int64_t epoch_samples(const Config& config, std::int64_t before, std::int64_t arrived) {
  const LearnerKind& kind = learner_kind(config);
  if (kind.epoch_samples) return kind.epoch_samples(config, before, arrived);
  return config.learner.replay ? before + arrived : arrived;
}

double width_factor(const Config& config, std::int64_t update) {
  const LearnerKind& kind = learner_kind(config);
  return kind.width ? kind.width(config, update) : 1;
}

}  // namespace alma
