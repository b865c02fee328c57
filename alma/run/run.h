#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "alma/config/config.h"
#include "alma/console/console.h"
#include "alma/run/run_directory.h"

namespace alma {

/// One run, as `alma run` and the workers of a sweep do it, with the configuration resolved.
struct RunOptions {
  Config config;
  std::string device = "auto";
  int threads = 1;
  std::filesystem::path out;
  OpenMode mode = OpenMode::create_free;  // RunDirectory(out, config, mode)
  bool quiet = false;
  bool profile = false;                           // profile.json and profile.txt, in the run directory
  std::function<void(const Progress&)> listener;  // of a program that shows progress itself
};
/// Returns the exit code: 0, or 130 if it was interrupted and has saved; anything else that goes wrong is thrown.
int run_command(const RunOptions& options);

}  // namespace alma
