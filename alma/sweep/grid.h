#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "alma/config/config.h"

namespace alma {

/// A run of a sweep: its configuration, and the name of its run directory, which depends only on the configuration.
struct GridPoint {
  std::string name;
  Config config;
};

/// The runs of a sweep, and warnings for its author: an [[exclude]] that matches nothing, combinations that are equal.
struct Grid {
  std::vector<GridPoint> points;
  std::vector<std::string> warnings;
};

/// "mnist-ens4-h64-w10-s0-1c9f30ab": data set, learner, size of the network, waiting time, replay, seed, and eight digits of
/// the SHA-256 of all keys that are not the default. Every sweep that has this configuration finds the run under this name.
std::string run_name(const Config& config);

/// Reads the grid of a sweep, a TOML file:
///
///     base = "mnist-sm-h4.toml"             # a configuration: a file, relative to this one, or else one of those that come
///                                           # with the program (alma/configs); without it, the defaults
///     [set]                                 # keys that differ from the base in all runs
///     "train.max_epochs" = 50
///     [axes]                                # every combination of these values
///     "learner.wait" = [1, 10]
///     seed = [0, 1, 2]
///     [[zip]]                               # keys that move together: one more axis
///     "learner.method" = ["sm", "ens"]
///     "learner.members" = [1, 4]
///     [[exclude]]                           # combinations to leave out: these keys all have (one of) these values
///     "learner.method" = "ens"
///     "learner.wait" = [1]
///
/// Each value is read and checked like a value of a configuration. The points come in the order of the file, the last axis
/// fastest; equal points occur once. Throws Error(ErrorKind::usage) that names the place of the fault, or the combination
/// that is not a valid configuration.
Grid load_grid(const std::filesystem::path& path);

/// The same, read from a text; messages call it `name`, and `base` is relative to `folder`.
Grid parse_grid(std::string_view text, const std::string& name, const std::filesystem::path& folder);

}  // namespace alma
