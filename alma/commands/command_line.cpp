#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <optional>
#include <thread>

#include "alma/commands/commands.h"
#include "alma/config/build_info.h"
#include "alma/config/edit_distance.h"
#include "alma/reproduce/claims.h"
#include "alma/run/interrupt.h"
#include "alma/run/run.h"
#include "base/error.h"
#include "base/exit_code.h"
#include "base/process.h"

namespace {

using namespace alma;

// The number of processors that this process may use: a container or taskset may allow fewer than the machine has.
int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// The options of `alma run` as they were written.
struct RunArguments {
  std::string config, out;
  std::vector<std::string> sets;
  std::optional<std::int64_t> seed;
  bool resume = false, print_config = false;
};

Config resolve_config(const RunArguments& arguments) {
  std::vector<std::string> sets = arguments.sets;
  if (arguments.seed) sets.push_back("seed=" + std::to_string(*arguments.seed));
  if (!arguments.config.empty()) return load_config(arguments.config, sets);
  if (arguments.print_config && !arguments.resume) return parse_config("", "the defaults", sets);
  if (!arguments.resume) fail(ErrorKind::usage, "run: no configuration was given; expected alma run CONFIG.toml");
  read_run_config(arguments.out);  // throws the reason if it is not a run directory
  return load_config(std::filesystem::path(arguments.out) / "config.toml", sets);
}

std::filesystem::path default_out(const RunArguments& arguments, const Config& config) {
  return std::filesystem::path("runs") /
         (std::filesystem::path(arguments.config).stem().string() + "-seed" + std::to_string(config.seed));
}

// Names the nearest command, where CLI11 would only say that a command is missing.
void check_command(const CLI::App& app, const std::string& command) {
  if (command[0] == '-') return;
  std::string nearest;
  for (const CLI::App* known : app.get_subcommands({})) {
    const std::string& name = known->get_name();
    if (name == command) return;
    if (nearest.empty() || edit_distance(command, name) < edit_distance(command, nearest)) nearest = name;
  }
  fail(ErrorKind::usage, "unknown command ", command, "; did you mean ", nearest, "? See alma --help");
}

int start_run(const RunArguments& arguments, RunOptions& options) {
  if (arguments.resume && arguments.out.empty())
    fail(ErrorKind::usage, "--resume was given without --out; expected --out DIR, the directory of the run to continue");
  options.config = resolve_config(arguments);
  if (arguments.print_config) {
    require_standard_output();
    std::cout << write_config(options.config, true);
    return 0;
  }
  options.out = arguments.out.empty() ? default_out(arguments, options.config) : std::filesystem::path(arguments.out);
  options.mode = arguments.resume ? OpenMode::resume : arguments.out.empty() ? OpenMode::create_free : OpenMode::create;
  return run_command(options);
}

/// The values of all options, and the command to run.
struct Arguments {
  RunArguments run_arguments;
  RunOptions run;
  SweepOptions sweep;
  ReproduceOptions reproduce;
  ReportOptions report;
  EvalOptions eval;
  std::string data_set;
  FetchArguments fetch;
  TokenizeOptions tokenize;
  std::function<int()> command;
};

void add_device_options(CLI::App* command, std::string& device, int& threads, int default_threads = available_processors()) {
  threads = default_threads;
  command->add_option("--device", device, "device to use: cpu | cpu:LEVEL | cuda | cuda:N (GPU number N) | cuda-sim | auto")
      ->type_name("D")
      ->capture_default_str();
  command->add_option("--threads", threads, "number of threads within an operation; the results do not depend on it")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void add_run(CLI::App& app, Arguments& arguments) {
  RunArguments& given = arguments.run_arguments;
  CLI::App* command = app.add_subcommand("run", "train a learner on a stream and test it after every mega-batch");
  command->add_option("CONFIG", given.config, "configuration, a TOML file; optional with --resume");
  command->add_option("--set", given.sets, "override a key of the configuration: section.key=value")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  command->add_option("--seed", given.seed, "override the key seed")->type_name("N");
  command->add_option("--out", given.out, "run directory; default runs/CONFIG-seedN, with -2, -3, ... appended if it exists")
      ->type_name("DIR");
  command->add_flag("--resume", given.resume, "continue the run in --out");
  command->add_flag("--quiet", arguments.run.quiet, "print only errors and warnings");
  command->add_flag("--profile", arguments.run.profile,
                    "time every primitive: print a table at the end, and write profile.txt and the trace profile.json into "
                    "the run directory");
  command->add_flag("--print-config", given.print_config,
                    "print the complete configuration with a description of each key, and exit");
  add_device_options(command, arguments.run.device, arguments.run.threads);
  command->callback([&] { arguments.command = [&] { return start_run(given, arguments.run); }; });
}

void add_sweep_options(CLI::App* command, SweepSettings& settings, const std::string& default_out) {
  command->add_option("--out", settings.out, "folder for the run directories; default " + default_out)->type_name("DIR");
  settings.jobs = available_processors();
  command->add_option("--jobs", settings.jobs, "number of runs at the same time")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_device_options(command, settings.device, settings.threads, 1);
}

void add_sweep(CLI::App& app, Arguments& arguments) {
  SweepOptions& options = arguments.sweep;
  CLI::App* command = app.add_subcommand(
      "sweep", "run a grid of configurations, several at a time; resumes interrupted runs and skips finished ones");
  command->add_option("SWEEP", options.file, "grid, a TOML file with a base configuration and axes")->required();
  add_sweep_options(command, options.settings, "runs/NAME of the file");
  command
      ->add_option("--shard", options.shard,
                   "do only every n-th run of the grid, from the i-th on (i = 1 .. n); for job arrays")
      ->type_name("i/n");
  command->add_flag("--dry-run", options.dry_run, "print the grid and its estimated cost, and exit");
  command->add_flag("--quiet", options.quiet, "print only errors and warnings");
  command->callback([&] { arguments.command = [&] { return sweep_command(options); }; });
}

void add_reproduce(CLI::App& app, Arguments& arguments) {
  ReproduceOptions& options = arguments.reproduce;
  CLI::App* command = app.add_subcommand("reproduce", "run the paper's grid on a data set and check the paper's claims");
  command->add_option("DATASET", options.data_set, "mnist | cifar10")->required()->check(CLI::IsMember(paper_data_sets()));
  command->add_option("--time", options.time, "time limit, such as 90m or 2h30m: only the runs that fit are done")
      ->type_name("T");
  add_sweep_options(command, options.settings, "runs/reproduce-DATASET");
  command->add_flag("--dry-run", options.dry_run, "print the grid and its estimated cost, and exit");
  command->add_flag("--quiet", options.quiet, "print only the claims, errors and warnings");
  command->callback([&] { arguments.command = [&] { return reproduce_command(options); }; });
}

void add_report(CLI::App& app, Arguments& arguments) {
  ReportOptions& options = arguments.report;
  CLI::App* command =
      app.add_subcommand("report", "show finished runs on one HTML page; also writes CSV, SVG and TensorBoard files");
  command->add_option("DIR", options.folders, "run directories, or folders that contain run directories")->required();
  command->add_option("-o,--out", options.out, "file for the page")->type_name("FILE")->capture_default_str();
  command->add_option("--csv", options.csv, "file for a table with one line per run")->type_name("FILE");
  command->add_option("--svg", options.svg, "folder for the figures as SVG files, drawn by Node.js")->type_name("DIR");
  command->add_option("--tensorboard", options.tensorboard, "folder for one event file per run")->type_name("DIR");
  command->callback([&] { arguments.command = [&] { return report_command(options); }; });
}

void add_eval_and_predict(CLI::App& app, Arguments& arguments) {
  EvalOptions& options = arguments.eval;
  CLI::App* eval = app.add_subcommand("eval", "measure the error of a trained model on its test set");
  CLI::App* predict = app.add_subcommand("predict", "classify the images in files with a trained model");
  for (CLI::App* command : {eval, predict}) {
    command->add_option("CHECKPOINT", options.checkpoint, "run directory, or the checkpoint folder in it")->required();
    add_device_options(command, options.device, options.threads);
  }
  predict->add_option("FILE", options.files, "IDX files of images, or files NAME.bin of CIFAR-10")->required();
  eval->callback([&] { arguments.command = [&] { return eval_command(options); }; });
  predict->callback([&] { arguments.command = [&] { return predict_command(options); }; });
}

void add_data(CLI::App& app, Arguments& arguments) {
  CLI::App* data = app.add_subcommand("data", "list, fetch and verify data sets")->require_subcommand(1);
  data->add_subcommand("list", "list the known data sets and whether they are installed")->callback([&] {
    arguments.command = data_list_command;
  });
  CLI::App* fetch = data->add_subcommand("fetch", "download the files of a data set into the user's cache");
  fetch->add_option("NAME", arguments.fetch.data_set, "name of a data set")->required();
  fetch->add_option("--mirror", arguments.fetch.mirrors, "URL of a folder with the packed files; tried first")
      ->type_name("URL")
      ->expected(1)
      ->take_all();
  fetch->add_flag("--quiet", arguments.fetch.quiet, "print only errors and warnings");
  fetch->callback([&] { arguments.command = [&] { return data_fetch_command(arguments.fetch); }; });
  CLI::App* verify = data->add_subcommand("verify", "compare the files of a data set with the published ones");
  verify->add_option("NAME", arguments.data_set, "name of a data set")->required();
  verify->callback([&] { arguments.command = [&] { return data_verify_command(arguments.data_set); }; });
}

void add_tokenize(CLI::App& app, Arguments& arguments) {
  TokenizeOptions& options = arguments.tokenize;
  CLI::App* command = app.add_subcommand("tokenize", "encode text as token shards; also trains vocabularies");
  const auto text = [&](const char* name, std::string& value, const char* type, const char* help) {
    return command->add_option(name, value, help)->type_name(type);
  };
  command->add_option("INPUT", options.inputs, "text files (plain, gzip, xz, zstd), folders, or - for standard input");
  text("--vocab", options.vocabulary, "DIR", "folder with encoder.json and vocab.bpe, or with tokenizer.json");
  text("--out", options.out, "PREFIX", "prefix of the shards; with --train the folder of the new vocabulary");
  command->add_option("--train", options.train, "make a vocabulary of N entries from the text")
      ->type_name("N")
      ->check(CLI::Range(257, 1 << 24));
  text("--ids", options.ids, "FILE", "print the ids of a file");
  text("--decode", options.decode, "FILE", "print the text of a file of ids");
  text("--documents", options.documents, "RULE",
       "what a document is: file | record (of JSON lines) | blank-lines | separator; default record for files .jsonl, else "
       "file")
      ->check(CLI::IsMember({"file", "record", "blank-lines", "separator"}));
  text("--separator", options.separator, "LINE", "the line that separates documents, such as '<|endoftext|>'");
  text("--field", options.field, "NAME", "the member of a record that has the text; default text");
  text("--invalid", options.invalid, "RULE", "what becomes of bytes that are not UTF-8: error | replace (by U+FFFD)")
      ->check(CLI::IsMember({"error", "replace"}))
      ->capture_default_str();
  text("--format", options.format, "NAME", "layout of the shards: megatron (.bin and .idx) | llmc")
      ->check(CLI::IsMember({"megatron", "llmc"}))
      ->capture_default_str();
  command->add_option("--shard-tokens", options.shard_tokens, "largest number of tokens in a shard; default 2^28")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 28));
  options.threads = available_processors();
  command->add_option("--threads", options.threads, "number of threads that encode; the shards do not depend on it")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--resume", options.resume, "continue an interrupted command");
  command->add_flag("--quiet", options.quiet, "print only errors and warnings");
  command->callback([&] { arguments.command = [&] { return tokenize_command(options); }; });
}

/// The arguments after the program's name; the other spellings of help (alma, alma help, alma help run) become --help.
std::vector<std::string> read_arguments(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (words.empty()) return {"--help"};
  if (words[0] == "help") {
    words.erase(words.begin());
    words.push_back("--help");
  }
  return words;
}

int run_program(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Anytime learning at macroscale: models that learn from a stream of mega-batches"};
  app.name("alma");
  app.set_version_flag("--version", "alma " + version());
  app.require_subcommand(1);
  add_run(app, arguments);
  add_sweep(app, arguments);
  add_reproduce(app, arguments);
  add_report(app, arguments);
  add_eval_and_predict(app, arguments);
  add_data(app, arguments);
  add_tokenize(app, arguments);
  app.add_subcommand("info", "print version, build, devices and libraries")->callback([&] {
    arguments.command = info_command;
  });
  app.add_subcommand("help", "print the options of a command: alma help COMMAND");  // see read_arguments()

  std::vector<std::string> words = read_arguments(argc, argv);
  check_command(app, words[0]);
  try {
    std::reverse(words.begin(), words.end());  // as CLI11 takes them
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fail(ErrorKind::usage, error.what(), "; see alma --help, or alma COMMAND --help");
  }
  return arguments.command();
}

}  // namespace

namespace alma {

int alma_main(int argc, char** argv) {
  return exit_code_of([&] {
    prepare_process();
    end_when_interrupted();
    return run_program(argc, argv);
  });
}

}  // namespace alma
