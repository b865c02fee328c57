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

// Processors that this process may use: a container or taskset may allow fewer than the machine has.
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
  read_run_config(arguments.out);  // says what is wrong with a folder that is none
  return load_config(std::filesystem::path(arguments.out) / "config.toml", sets);
}

std::filesystem::path default_out(const RunArguments& arguments, const Config& config) {
  return std::filesystem::path("runs") /
         (std::filesystem::path(arguments.config).stem().string() + "-seed" + std::to_string(config.seed));
}

// CLI11 would only say that a command is missing.
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
    fail(ErrorKind::usage, "--resume was given without --out; expected --out DIR, the folder of the run to go on with");
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

/// What the command line says, and what is to be done.
struct Arguments {
  RunArguments run_arguments;
  RunOptions run;
  SweepOptions sweep;
  ReproduceOptions reproduce;
  ReportOptions report;
  EvalOptions eval;
  std::string data_set;
  FetchArguments fetch;
  std::function<int()> command;
};

void add_device_options(CLI::App* command, std::string& device, int& threads, int default_threads = available_processors()) {
  threads = default_threads;
  command->add_option("--device", device, "cpu | cpu:LEVEL | cuda | cuda:N (GPU number N) | cuda-sim | auto")
      ->type_name("D")
      ->capture_default_str();
  command->add_option("--threads", threads, "inside an operation; the results do not depend on it")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void add_run(CLI::App& app, Arguments& arguments) {
  RunArguments& given = arguments.run_arguments;
  CLI::App* command = app.add_subcommand("run", "train on a stream and judge at every mega-batch");
  command->add_option("CONFIG", given.config, "TOML file; may be left out with --resume");
  command->add_option("--set", given.sets, "overrides a key of the configuration: section.key=value")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  command->add_option("--seed", given.seed, "overrides the key seed")->type_name("N");
  command->add_option("--out", given.out, "run directory; default runs/CONFIG-seedN, with -2, -3, ... if that is taken")
      ->type_name("DIR");
  command->add_flag("--resume", given.resume, "go on with the run in --out");
  command->add_flag("--quiet", arguments.run.quiet, "print errors and warnings only");
  command->add_flag("--profile", arguments.run.profile,
                    "time every primitive: a table at the end, profile.txt and the trace profile.json in the run directory");
  command->add_flag("--print-config", given.print_config, "print the whole configuration and end");
  add_device_options(command, arguments.run.device, arguments.run.threads);
  command->callback([&] { arguments.command = [&] { return start_run(given, arguments.run); }; });
}

void add_sweep_options(CLI::App* command, SweepSettings& settings, const std::string& default_out) {
  command->add_option("--out", settings.out, "folder of the run directories; default " + default_out)->type_name("DIR");
  settings.jobs = available_processors();
  command->add_option("--jobs", settings.jobs, "runs at once")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_device_options(command, settings.device, settings.threads, 1);
}

void add_sweep(CLI::App& app, Arguments& arguments) {
  SweepOptions& options = arguments.sweep;
  CLI::App* command = app.add_subcommand("sweep", "a grid of runs: several at once, resumable, skips what is finished");
  command->add_option("SWEEP", options.file, "TOML file with a base configuration and axes")->required();
  add_sweep_options(command, options.settings, "runs/NAME of the file");
  command->add_option("--shard", options.shard, "every n-th run from the i-th on, for job arrays; i = 1 .. n")
      ->type_name("i/n");
  command->add_flag("--dry-run", options.dry_run, "print the grid with what it will cost, and end");
  command->add_flag("--quiet", options.quiet, "print errors and warnings only");
  command->callback([&] { arguments.command = [&] { return sweep_command(options); }; });
}

void add_reproduce(CLI::App& app, Arguments& arguments) {
  ReproduceOptions& options = arguments.reproduce;
  CLI::App* command = app.add_subcommand("reproduce", "the paper's grid on a data set, and its claims held against it");
  command->add_option("DATASET", options.data_set, "mnist | cifar10")->required()->check(CLI::IsMember(paper_data_sets()));
  command->add_option("--time", options.time, "only runs that fit into it: 90m, 2h30m")->type_name("T");
  add_sweep_options(command, options.settings, "runs/reproduce-DATASET");
  command->add_flag("--dry-run", options.dry_run, "print the grid with what it will cost, and end");
  command->add_flag("--quiet", options.quiet, "print the claims, errors and warnings only");
  command->callback([&] { arguments.command = [&] { return reproduce_command(options); }; });
}

void add_report(CLI::App& app, Arguments& arguments) {
  ReportOptions& options = arguments.report;
  CLI::App* command = app.add_subcommand("report", "finished runs as one HTML page, and for other programs");
  command->add_option("DIR", options.folders, "run directories, or folders that hold some")->required();
  command->add_option("-o,--out", options.out, "the page")->type_name("FILE")->capture_default_str();
  command->add_option("--csv", options.csv, "one line for each run")->type_name("FILE");
  command->add_option("--svg", options.svg, "the figures as files, drawn by Node.js")->type_name("DIR");
  command->add_option("--tensorboard", options.tensorboard, "an event file for each run")->type_name("DIR");
  command->callback([&] { arguments.command = [&] { return report_command(options); }; });
}

void add_eval_and_predict(CLI::App& app, Arguments& arguments) {
  EvalOptions& options = arguments.eval;
  CLI::App* eval = app.add_subcommand("eval", "judge a trained model on its test set");
  CLI::App* predict = app.add_subcommand("predict", "classify the images of files with a trained model");
  for (CLI::App* command : {eval, predict}) {
    command->add_option("CHECKPOINT", options.checkpoint, "a run directory, or the checkpoint folder in it")->required();
    add_device_options(command, options.device, options.threads);
  }
  predict->add_option("FILE", options.files, "IDX files of images")->required();
  eval->callback([&] { arguments.command = [&] { return eval_command(options); }; });
  predict->callback([&] { arguments.command = [&] { return predict_command(options); }; });
}

void add_data(CLI::App& app, Arguments& arguments) {
  CLI::App* data = app.add_subcommand("data", "data sets")->require_subcommand(1);
  data->add_subcommand("list", "the known data sets and whether they are installed")->callback([&] {
    arguments.command = data_list_command;
  });
  CLI::App* fetch = data->add_subcommand("fetch", "bring the files of a data set into the user's cache");
  fetch->add_option("NAME", arguments.fetch.data_set, "a data set")->required();
  fetch->add_option("--mirror", arguments.fetch.mirrors, "a folder on the web that has the packed files; tried first")
      ->type_name("URL")
      ->expected(1)
      ->take_all();
  fetch->add_flag("--quiet", arguments.fetch.quiet, "print errors and warnings only");
  fetch->callback([&] { arguments.command = [&] { return data_fetch_command(arguments.fetch); }; });
  CLI::App* verify = data->add_subcommand("verify", "compare the files of a data set with the published ones");
  verify->add_option("NAME", arguments.data_set, "a data set")->required();
  verify->callback([&] { arguments.command = [&] { return data_verify_command(arguments.data_set); }; });
}

/// What follows the program's name; help in its other spellings becomes --help: alma, alma help, alma help run.
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
  app.add_subcommand("info", "version, build, devices, libraries")->callback([&] { arguments.command = info_command; });
  app.add_subcommand("help", "alma help COMMAND: the options of a command");  // see read_arguments()

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
