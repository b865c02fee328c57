#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace alma {

/// Everything that decides the outcome of a run, under the names of the TOML file. What each key means, its limits and the
/// names it may have stand in config_schema.cpp, once; `alma run --print-config` shows them.
struct Config {
  struct Stream {
    std::string dataset = "mnist";
    std::string train_images, train_labels, test_images, test_labels;  // dataset = "idx"
    std::int64_t classes = 0;                                          // dataset = "idx"; 0: from the labels
    std::vector<double> mean, std;                                     // per channel; empty: those of the data set
    std::int64_t synthetic_train = 6000, synthetic_test = 1000;        // dataset = "synthetic-images"
    std::int64_t mega_batches = 500;
    double validation = 0.1;
    std::int64_t seed = 432;
    std::string untrained = "chance";
  };
  struct Learner {
    std::string method = "sm";
    std::int64_t wait = 1;
    bool replay = false;
    bool from_scratch = false;
    std::int64_t members = 4;  // gens: 1, where it is not given
    std::int64_t grow_every = 1;
    std::string combine = "figures";
    bool bagging = false;
  };
  struct Model {
    std::string architecture = "mlp";
    std::int64_t width = 64;
    std::int64_t experts = 1;
  };
  struct Train {
    std::string optimizer = "adadelta";
    double lr = 1.0;
    double momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    std::int64_t batch_size = 128;
    std::int64_t crop_pad = 0;
    double crop_fill = -1.9;
    bool flip = false;
    std::int64_t max_epochs = 100;
    std::int64_t patience = 100;
    double patience_delta = 0.0;
    std::string math = "f32";
    bool graph = false;
    double checkpoint_seconds = 10.0;
  };

  std::int64_t seed = 0;
  Stream stream;
  Learner learner;
  Model model;
  Train train;
};

/// Reads a TOML file, then the overrides "section.key=value" in order (the value is read as TOML; what is not TOML is a
/// string), and checks the whole. Throws Error(ErrorKind::usage) that names the key and where it stands: TOML syntax,
/// unknown key (with its nearest neighbour), wrong type, out of range, unknown name, a name that this version does not have
/// yet.
Config load_config(const std::filesystem::path& path, const std::vector<std::string>& sets = {});

/// The same from text; `name` stands for the file in messages.
Config parse_config(std::string_view text, const std::string& name, const std::vector<std::string>& sets = {});

/// Complete TOML that parse_config reads back to the same Config; with `docs`, each key under a comment that explains it.
std::string write_config(const Config& config, bool docs = false);

/// One key: "stream.mega_batches" and its value as TOML.
struct ConfigValue {
  std::string key, value;
  bool is_default = true;
};
/// All keys in the order of the file.
std::vector<ConfigValue> list_config(const Config& config);

/// A key that differs between two configurations, and both values as TOML.
struct ConfigDifference {
  std::string key, a, b;
};
std::vector<ConfigDifference> differences(const Config& a, const Config& b);

/// Throws Error(ErrorKind::usage) for a configuration that can be read, such as that of a finished run, but neither
/// trained nor evaluated by this version: language models, and learners that grow experts.
void check_trainable(const Config& config);

/// The paper's name: "SM", "Ens4", "UMix4", "gEns" (with its members per growth if that is not 1), "gMoE". Of language
/// models the experts of a layer are part of it, as in the paper's Fig. 5: "SM12", "Ens4@2" (2 members of 4 experts),
/// "gMoE4".
std::string learner_name(const Config& config);

/// The version of toml++ that reads the files.
std::string toml_library_version();

}  // namespace alma
