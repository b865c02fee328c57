#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alma/config/config_struct.h"
#include "alma/config/words.h"
#include "base/random.h"
#include "data/images.h"

namespace alma {

class Context;
class Learner;
class Module;
struct InputDescription;  // alma/learn/kinds.h
struct LearnerRequest;    // alma/learn/kinds.h

// The words of learner.method, model.architecture and stream.dataset: one row for each, which holds everything that is
// particular to it. The schema, `alma run --print-config`, the estimate of a sweep, the report and the labels of its figures
// read the rows; nothing else compares the words. The rows that come with the program stand in alma/learn/kinds.cpp.

/// What all rows have.
struct Kind {
  std::string name;  // the word in the configuration
  std::string doc;   // what it means, for --print-config: "one model, trained further at each update"
  // Keys that have an effect with this word, and not with every other: "learner.members". With a word that does not name
  // them, words and flags must be left at their defaults; numbers have no effect.
  std::vector<std::string> keys = {};
  // Throws Error(ErrorKind::usage) for a configuration that does not go with this word; `where` says where it was read. May
  // be empty.
  std::function<void(const Config& config, const std::string& where)> check = {};
  Available available = Available::yes;
};

/// A row of learner.method.
struct LearnerKind : Kind {
  // The name in reports and figures: "Ens4". Empty: the word itself.
  std::function<std::string(const Config&)> label = {};
  // How it grows: the number of models that the learner has after so many updates. Empty, or 0: it cannot be told.
  std::function<std::int64_t(const Config&, std::int64_t updates)> models = {};
  std::int64_t members = Config::Learner{}.members;  // the default of learner.members
  std::function<std::unique_ptr<Learner>(const LearnerRequest&)> make = {};
};

/// What a model reads, and a data set has.
enum class Input { images, text };

/// A row of model.architecture.
struct ArchitectureKind : Kind {
  Input input = Input::images;
  // The size of the network in reports and figures: "h=64".
  std::function<std::string(const Config&)> label = {};
  // A new model, whose weights are drawn from `init`.
  std::function<std::unique_ptr<Module>(Context&, const Config&, const InputDescription&, RandomStream init)> make = {};
};

/// A row of stream.dataset.
struct DataKind : Kind {
  Input input = Input::images;
  std::function<ImageData(const Config&)> load = {};
};

/// The rows, in the order in which they are shown.
const std::deque<LearnerKind>& learner_kinds();
const std::deque<ArchitectureKind>& architecture_kinds();
const std::deque<DataKind>& data_kinds();

/// Adds a row, for programs that bring kinds of their own: to be called before anything is read, at the start of main().
/// Throws Error(ErrorKind::usage) for a name that is empty or taken.
void add_learner_kind(LearnerKind kind);
void add_architecture_kind(ArchitectureKind kind);
void add_data_kind(DataKind kind);

/// The row of a configuration's word. Throws Error(ErrorKind::usage) for a word that is not known.
const LearnerKind& learner_kind(const Config& config);
const ArchitectureKind& architecture_kind(const Config& config);
const DataKind& data_kind(const Config& config);

/// The paper's name: "SM", "Ens4", "UMix4", "gEns" (with its members per growth if that is not 1), "gMoE". Of language
/// models the experts of a layer are part of it, as in the paper's Fig. 5: "SM12", "Ens4@2" (2 members of 4 experts),
/// "gMoE4".
std::string learner_name(const Config& config);

/// The size of the network: "h=64".
std::string model_size(const Config& config);

/// LearnerKind::models, 0 if it cannot be told.
std::int64_t count_models(const Config& config, std::int64_t updates);

// The rows that come with the program (alma/learn/kinds.cpp).
std::deque<LearnerKind> built_in_learners();
std::deque<ArchitectureKind> built_in_architectures();
std::deque<DataKind> built_in_data();

}  // namespace alma
