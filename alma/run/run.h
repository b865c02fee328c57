#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "alma/config/config.h"
#include "alma/console/console.h"
#include "alma/run/run_directory.h"

namespace alma {

/// The options of one run, as done by `alma run` and by the workers of a sweep; the configuration is resolved.
struct RunOptions {
  Config config;
  std::string device = "auto";
  int threads = 1;
  std::filesystem::path out;
  OpenMode mode = OpenMode::create_free;  // RunDirectory(out, config, mode)
  bool quiet = false;
  bool profile = false;                           // write profile.json and profile.txt into the run directory
  std::function<void(const Progress&)> listener;  // for a program that shows progress itself
};
/// Does the run. Returns the exit code: 0, or 130 if it was interrupted and has saved; every other failure is thrown.
int run_command(const RunOptions& options);

}  // namespace alma
