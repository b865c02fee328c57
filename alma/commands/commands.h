#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "alma/sweep/sweep.h"

namespace alma {

/// The program: reads the command line, runs the command and returns the exit code; errors are printed, never thrown. A
/// program with kinds of its own (alma/config/kinds.h) adds them first, and is then `alma` with these:
///
///     int main(int argc, char** argv) {
///       alma::add_learner_kind(my_learner());
///       return alma::alma_main(argc, argv);
///     }
int alma_main(int argc, char** argv);

// The commands, with the options that alma_main() has read. A command returns the exit code: 0, or 130 if it was
// interrupted; every other failure is thrown.

/// `alma sweep`: a grid of runs. Throws Error(ErrorKind::failed) if a run failed.
struct SweepOptions {
  std::filesystem::path file;
  SweepSettings settings;  // out may be empty: runs/NAME of the file
  std::string shard;       // "i/n": every n-th run, from the i-th on; empty: all runs
  bool dry_run = false;    // print the grid and its estimated cost
  bool quiet = false;
};
int sweep_command(const SweepOptions& options);

/// `alma reproduce`: runs the paper's grid on a data set and checks the paper's claims.
struct ReproduceOptions {
  std::string data_set;    // mnist | cifar10
  SweepSettings settings;  // out may be empty: runs/reproduce-NAME
  std::string time;        // "90m", "2h30m": only the runs that fit; empty: all runs
  bool dry_run = false;
  bool quiet = false;
};
int reproduce_command(const ReproduceOptions& options);

/// `alma report`: finished runs as an HTML page and, where a path is given, in other forms.
struct ReportOptions {
  std::vector<std::filesystem::path> folders;  // run directories, or folders that contain run directories
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

/// `alma tokenize`: text to token shards; or to a vocabulary, or its ids, or ids to text.
struct TokenizeOptions {
  std::vector<std::string> inputs;          // files, folders, "-"
  std::string vocabulary, out;              // a folder or file; the prefix of the shards, or a folder for a vocabulary
  std::string ids, decode;                  // a file whose ids, or of ids whose text, are printed
  std::int32_t train = 0;                   // entries of the vocabulary to be made; 0: none
  std::string documents, separator, field;  // empty: by the files' names
  std::string invalid = "error", format = "megatron";
  std::int64_t shard_tokens = 0;  // the most in a shard; 0: the largest number
  int threads = 1;
  bool resume = false, quiet = false;
};
int tokenize_command(const TokenizeOptions& options);

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
