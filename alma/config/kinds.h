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
struct Task;              // alma/learn/kinds.h

// The words of learner.method, model.architecture and stream.dataset: each is a row that holds everything particular to it.
// The schema, `alma run --print-config`, the estimate of a sweep, the report and the labels of its figures read the rows; no
// other code compares the words. The program's own rows are in alma/learn/learner_kinds.cpp, model_kinds.cpp and
// text_kinds.cpp.

/// The fields that all rows have.
struct Kind {
  std::string name;  // the word in the configuration
  std::string doc;   // its meaning, for --print-config: "one model, trained further at each update"
  // Keys that have an effect with this word, but not with every word: "learner.members". With a word that does not list such
  // a key, a string or flag must have its default value; a number has no effect.
  std::vector<std::string> keys = {};
  // Throws Error(ErrorKind::usage) for a configuration that does not fit this word; `where` names the place where it was
  // read. May be empty.
  std::function<void(const Config& config, const std::string& where)> check = {};
  Available available = Available::yes;
};

/// The kind of input that a model reads and a data set provides.
enum class Input { images, text };

/// A row of learner.method.
struct LearnerKind : Kind {
  bool of_text = false;  // whether it can also train models of text
  // The learner's name in reports and figures: "Ens4". Empty: the word itself.
  std::function<std::string(const Config&)> label = {};
  // The number of models that the learner has after a number of updates. Empty, or 0: unknown.
  std::function<std::int64_t(const Config&, std::int64_t updates)> models = {};
  // The number of growth steps of the model's structure by the time of update number `update`, counted from 0. Empty: it
  // does not grow.
  std::function<std::int64_t(const Config&, std::int64_t update)> growths = {};
  // By what the width of the network has grown by the time of an update, as a multiple of the first. Empty: it does not.
  std::function<double(const Config&, std::int64_t update)> width = {};
  // The training samples in an epoch of an update, for the cost of a sweep: of `arrived` new ones after `before` others.
  // Empty: the new ones, and with learner.replay the others too.
  std::function<std::int64_t(const Config&, std::int64_t before, std::int64_t arrived)> epoch_samples = {};
  std::int64_t members = Config::Learner{}.members;  // the default of learner.members
  std::int64_t experts = Config::Model{}.experts;    // the default of model.experts
  std::function<std::unique_ptr<Learner>(const LearnerRequest&)> make = {};
};

/// A row of model.architecture.
struct ArchitectureKind : Kind {
  Input input = Input::images;
  // The size of the network in reports and figures: "h=64".
  std::function<std::string(const Config&)> label = {};
  // Makes a new model, whose weights are drawn from `init`.
  std::function<std::unique_ptr<Module>(Context&, const Config&, const InputDescription&, RandomStream init)> make = {};
};

/// A row of stream.dataset.
struct DataKind : Kind {
  Input input = Input::images;
  std::function<ImageData(const Config&)> load = {};  // of images
  std::function<Task(const Config&)> task = {};       // of other input
};

/// The rows, in the order in which they are shown.
const std::deque<LearnerKind>& learner_kinds();
const std::deque<ArchitectureKind>& architecture_kinds();
const std::deque<DataKind>& data_kinds();

/// Adds a row, for programs with kinds of their own. Call it at the start of main(), before a configuration is read. Throws
/// Error(ErrorKind::usage) for a name that is empty or already used.
void add_learner_kind(LearnerKind kind);
void add_architecture_kind(ArchitectureKind kind);
void add_data_kind(DataKind kind);

/// The row for a configuration's word. Throws Error(ErrorKind::usage) for an unknown word.
const LearnerKind& learner_kind(const Config& config);
const ArchitectureKind& architecture_kind(const Config& config);
const DataKind& data_kind(const Config& config);

/// The learner's name in the paper: "SM", "Ens4", "UMix4", "gEns" (with the members per growth step if that is not 1),
/// "gMoE". A language model's name includes the number of experts per layer, as in the paper's Fig. 5: "SM12", "gMoE4",
/// "Ens4@2" (2 members with 4 experts each).
std::string learner_name(const Config& config);

/// A value of learner.wait: "10", or "auto".
std::string wait_name(std::int64_t wait);

/// ArchitectureKind::label of networks whose size is model.width: "h=64".
std::string width_label(const Config& config);
/// The size of the network: "h=64".
std::string model_size(const Config& config);

/// LearnerKind::models, or 0 if it is unknown.
std::int64_t count_models(const Config& config, std::int64_t updates);
/// LearnerKind::epoch_samples, or its default.
std::int64_t epoch_samples(const Config& config, std::int64_t before, std::int64_t arrived);
/// LearnerKind::growths, or 0 if the model does not grow.
std::int64_t count_growths(const Config& config, std::int64_t update);
/// LearnerKind::width, or 1.
double width_factor(const Config& config, std::int64_t update);

// The rows that come with the program.
std::deque<LearnerKind> built_in_learners();
std::deque<ArchitectureKind> built_in_architectures();
std::deque<DataKind> built_in_data();

}  // namespace alma
