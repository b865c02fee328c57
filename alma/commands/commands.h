#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "alma/sweep/sweep.h"

namespace alma {

/// The program: reads the command line, runs the command and returns the exit code; errors are printed, never thrown. A
/// program of one's own adds its kinds first (alma/config/kinds.h) and is then `alma` with these:
///
///     int main(int argc, char** argv) {
///       alma::add_learner_kind(my_learner());
///       return alma::alma_main(argc, argv);
///     }
int alma_main(int argc, char** argv);

// Each command with what alma_main() has read from the command line. A command returns the exit code: 0, or 130 if it was
// interrupted; anything else that goes wrong is thrown.

/// `alma sweep`: a grid of runs. Throws Error(ErrorKind::failed) if a run failed.
struct SweepOptions {
  std::filesystem::path file;
  SweepSettings settings;  // out may be empty: runs/NAME of the file
  std::string shard;       // "i/n": every n-th run from the i-th on; empty: all
  bool dry_run = false;    // print the grid and what it will cost
  bool quiet = false;
};
int sweep_command(const SweepOptions& options);

/// `alma reproduce`: the paper's grid on a data set, and its claims held against it.
struct ReproduceOptions {
  std::string data_set;    // mnist | cifar10
  SweepSettings settings;  // out may be empty: runs/reproduce-NAME
  std::string time;        // "90m", "2h30m": only runs that fit into it; empty: all
  bool dry_run = false;
  bool quiet = false;
};
int reproduce_command(const ReproduceOptions& options);

/// `alma report`: finished runs as an HTML page and, where a path is given, in other forms.
struct ReportOptions {
  std::vector<std::filesystem::path> folders;  // run directories, or folders that hold some
  std::filesystem::path out = "report.html", csv, svg, tensorboard;
};
int report_command(const ReportOptions& options);

/// `alma eval` and `alma predict`: a run directory, or the checkpoint folder in it.
struct EvalOptions {
  std::filesystem::path checkpoint;
  std::vector<std::string> files;  // predict: at least one
  std::string device = "auto";
  int threads = 1;
};
int eval_command(const EvalOptions& options);
int predict_command(const EvalOptions& options);

int info_command();
int data_list_command();
/// Throws Error(ErrorKind::data) after the list if a file is missing or damaged.
int data_verify_command(const std::string& name);
/// `alma data fetch`.
struct FetchArguments {
  std::string data_set;
  std::vector<std::string> mirrors;
  bool quiet = false;
};
int data_fetch_command(const FetchArguments& arguments);

}  // namespace alma
