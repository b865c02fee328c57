#include "alma/run/run.h"

#include <optional>

#include "alma/console/profile_report.h"
#include "alma/console/text.h"
#include "alma/run/anytime.h"
#include "alma/run/interrupt.h"
#include "alma/run/run_record.h"

namespace alma {

namespace {

// The records of a run that has its result: there is nothing to compute, so neither data nor a device is needed. The whole
// folder is verified. A damaged result is computed again from the checkpoint.
std::optional<RunRecord> find_finished(const RunDirectory& directory, Console& console) try {
  std::optional<RunRecord> run = read_finished_run(directory.path());
  CheckpointStore store(directory.checkpoint_folder());
  if (!run || !store.exists()) return run;
  const Checkpoint checkpoint = store.verify();
  if (!checkpoint.note.empty()) console.warn(checkpoint.note);
  directory.require(checkpoint.mark);
  return run;
} catch (const DamagedResult& error) {
  console.warn(std::string(error.what()) + "; it is computed again");
  return std::nullopt;
}

int show_finished(const RunRecord& run, const RunOptions& options, Console& console) {
  console.say("this run is complete");
  if (options.profile) console.warn("nothing was left to run, so --profile has recorded nothing");
  console.finish(run.measures, run.records, run.folder);
  return 0;
}

// Writes the profile of a run that was interrupted or has failed; an error of the profile must not hide the run's own.
void save_profile_of_part(const Profiler& profiler, const ProfileFacts& facts, const RunDirectory& directory,
                          Console& console) {
  try {
    save_profile(profiler, facts, directory.path(), console);
  } catch (const std::exception& error) {
    console.warn(error.what());
  }
}

}  // namespace

int run_command(const RunOptions& options) {
  check_trainable(options.config);
  ConsoleOptions console_settings = console_options(options.quiet);
  console_settings.listener = options.listener;
  Console console(console_settings);
  catch_interrupts();
  if (options.mode == OpenMode::resume) {
    RunDirectory directory(options.out, options.config, options.mode);
    if (const auto run = find_finished(directory, console)) return show_finished(*run, options, console);
  }
  std::optional<Profiler> profiler;
  if (options.profile) profiler.emplace();
  // Errors in device, data and settings are found before a folder is created.
  Context context(options.device, options.threads, {profiler ? &*profiler : nullptr, "training"});
  if (const std::string few = thread_shortage(options.threads, context.threads()); !few.empty()) console.warn(few);
  if (options.config.train.graph && !context.backend().has_graphs())
    fail(ErrorKind::usage, "train.graph = true needs --device cuda or cuda-sim, without --profile; found ",
         context.backend().info().device, options.profile ? " with --profile" : "");
  const auto load = [&] {
    const ProfileSpan span(context, kLoadingData);
    return load_task(options.config);
  };
  // What was read is let go once it is on the device.
  AnytimeRun run = [&] {
    const Task task = load();
    if (!task.warning.empty()) console.warn(task.warning);
    return AnytimeRun(options.config, context, task);
  }();
  RunDirectory directory(options.out, options.config, options.mode);
  if (!directory.warning().empty()) console.warn(directory.warning());
  if (const auto done = find_finished(directory, console)) return show_finished(*done, options, console);
  RunFacts facts = run.facts();
  facts.threads = context.threads();
  facts.run_directory = directory.path();
  console.start(options.config, facts);
  const ProfileFacts profile_facts{facts.backend, facts.threads};
  try {
    run.run(directory, console);
  } catch (const Interrupted&) {
    console.end_line();
    console.warn("interrupted and saved; continue with: alma run --resume --out " + directory.path().string());
    if (profiler) save_profile_of_part(*profiler, profile_facts, directory, console);
    return 130;
  } catch (...) {
    console.end_line();
    if (profiler) save_profile_of_part(*profiler, profile_facts, directory, console);
    throw;
  }
  if (profiler) save_profile(*profiler, profile_facts, directory.path(), console);
  return 0;
}

}  // namespace alma
