#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace alma {

/// The settings that decide the outcome of a run, under the names of the TOML file. The meaning and the limits of each key
/// are in config_schema.cpp; the words of learner.method, model.architecture and stream.dataset are the rows of kinds.h.
/// `alma run --print-config` shows all of them.
struct Config {
  struct Stream {
    std::string dataset = "mnist";
    std::string train_images, train_labels, test_images, test_labels;  // dataset = "idx"
    std::int64_t classes = 0;                                          // dataset = "idx"; 0: counted from the labels
    std::vector<double> mean, std;                                     // per channel; empty: the data set's own
    std::int64_t synthetic_train = 6000, synthetic_test = 1000;        // dataset = "synthetic-images"
    std::string tokens, test_tokens;                                   // dataset = "text"
    std::int64_t sequence = 512;
    double test = 0.1;
    std::int64_t mega_batches = 500;
    double validation = 0.1;
    std::int64_t seed = 432;
    std::string untrained = "chance";
  };
  struct Learner {
    std::string method = "sm";
    std::int64_t wait = 1;  // 0: "auto"
    bool replay = false;
    bool from_scratch = false;
    std::int64_t members = 4;  // if not given, the learning method's default: LearnerKind::members
    std::int64_t grow_every = 1;
    std::string split = "usage", gate = "soft";
    std::int64_t split_into = 2;
    std::int64_t most_experts = 64;
    std::string grow_by = "scores";
    std::string grow_in = "width";
    std::int64_t new_layers = 1;
    double grow_ratio = 0.6;
    std::int64_t candidates = 70;
    std::string combine = "figures";
    bool bagging = false;
    double shrink = 0.4, perturb = 0.1;
    double dash_alpha = 0.3, dash_lambda = 0.3;
    std::string average = "mean";
    double average_decay = 0.95;
    std::int64_t memory = 1000;
  };
  struct Model {
    std::string architecture = "mlp";
    std::int64_t width = 64;
    std::int64_t experts = 1;
    bool conv_bias = true;
    std::int64_t layers = 6, heads = 8, hidden = 0, switch_every = 2;
    std::string activation = "relu";
    double capacity = 1.0, balance = 0.01, dropout = 0.0, init_std = 0.02;
  };
  struct Train {
    std::string optimizer = "adadelta";
    double lr = 1.0;
    double momentum = 0.0;
    bool nesterov = false;
    double beta1 = 0.9, beta2 = 0.999;
    double weight_decay = 0.0;
    std::string decay = "all";
    double clip = 0.0;
    std::string schedule = "constant";
    std::int64_t warm_up = 0;
    bool restart = true;
    std::int64_t batch_size = 128;
    std::int64_t micro_batch = 0;
    std::int64_t crop_pad = 0;
    double crop_fill = -1.9;
    bool flip = false;
    std::int64_t max_epochs = 100;
    std::int64_t max_steps = 0;
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

}  // namespace alma
