#include "alma/anytime.h"
#include "alma/commands.h"
#include "alma/interrupt.h"

namespace alma {

namespace {

// A run that has its result: nothing to compute, so neither data nor device are needed.
int show_finished(const RunDirectory& directory, const Config& config, Console& console) {
  const std::vector<MegaBatchRecord> records = directory.read_metrics();
  console.say("this run is complete");
  console.finish(aggregate(records, config.learner.wait), records, directory.path());
  return 0;
}

}  // namespace

int run_command(const RunOptions& options) {
  Console console(console_options(options.quiet));
  catch_interrupts();
  if (options.mode == OpenMode::resume) {
    RunDirectory directory(options.out, options.config, options.mode);
    if (directory.finished()) return show_finished(directory, options.config, console);
  }
  // Whatever can be wrong with device, data and settings shows before a folder is made.
  Context context(options.device, options.threads);
  AnytimeRun run(options.config, context, load_data(options.config));
  RunDirectory directory(options.out, options.config, options.mode);
  RunFacts facts = run.facts();
  facts.threads = options.threads;
  facts.run_directory = directory.path();
  console.start(options.config, facts);
  try {
    run.run(directory, console);
  } catch (const Interrupted&) {
    console.end_line();
    console.warn("interrupted and saved; go on with: alma run --resume --out " + directory.path().string());
    return 130;
  } catch (...) {
    console.end_line();
    throw;
  }
  return 0;
}

}  // namespace alma
