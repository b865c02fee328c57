#include "alma/run/run.h"

#include <optional>

#include "alma/console/profile_report.h"
#include "alma/console/text.h"
#include "alma/run/anytime.h"
#include "alma/run/interrupt.h"

namespace alma {

namespace {

// A run that has its result: nothing to compute, so neither data nor device are needed.
int show_finished(const RunDirectory& directory, const RunOptions& options, Console& console) {
  const std::vector<MegaBatchRecord> records = read_metrics(directory.path());
  console.say("this run is complete");
  if (options.profile) console.warn("nothing was left to run, so --profile has recorded nothing");
  console.finish(aggregate(records, options.config.learner.wait), records, directory.path());
  return 0;
}

// The profile of a run that was interrupted or has failed: what is wrong with the profile must not hide that.
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
    if (is_finished(directory.path())) return show_finished(directory, options, console);
  }
  std::optional<Profiler> profiler;
  if (options.profile) profiler.emplace();
  // Whatever can be wrong with device, data and settings shows before a folder is made.
  Context context(options.device, options.threads, {profiler ? &*profiler : nullptr, "training"});
  if (const std::string few = thread_shortage(options.threads, context.threads()); !few.empty()) console.warn(few);
  if (options.config.train.graph && !context.backend().has_graphs())
    fail(ErrorKind::usage, "train.graph = true needs --device cuda or cuda-sim, without --profile; found ",
         context.backend().info().device, options.profile ? " with --profile" : "");
  const auto load = [&] {
    const ProfileSpan span(context, kLoadingData);
    return load_data(options.config);
  };
  AnytimeRun run(options.config, context, image_task(options.config, load()));
  RunDirectory directory(options.out, options.config, options.mode);
  if (is_finished(directory.path())) return show_finished(directory, options, console);
  RunFacts facts = run.facts();
  facts.threads = context.threads();
  facts.run_directory = directory.path();
  console.start(options.config, facts);
  const ProfileFacts profile_facts{facts.backend, facts.threads};
  try {
    run.run(directory, console);
  } catch (const Interrupted&) {
    console.end_line();
    console.warn("interrupted and saved; go on with: alma run --resume --out " + directory.path().string());
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
