#pragma once
#include <future>
#include <memory>
#include <vector>

#include "alma/console/console.h"
#include "alma/learn/kinds.h"
#include "alma/learn/metrics.h"
#include "alma/run/checkpoint.h"
#include "alma/run/run_directory.h"
#include "alma/run/updates.h"
#include "data/stream.h"

namespace alma {

/// Thrown by a run that was interrupted, after it has saved.
struct Interrupted {};

/// Anytime learning at macroscale, Algorithm 1 of Caccia et al. 2022: mega-batches arrive one after the other, the learner
/// waits, collects and updates, and the environment tests it after each arrival. Only this class uses the test set.
class AnytimeRun {
 public:
  /// `context` outlives the run.
  AnytimeRun(const Config& config, Context& context, const Task& task);

  /// The facts for the start-up table; the caller fills in threads and folder.
  RunFacts facts();
  /// Runs from the last checkpoint of the directory, if there is one, to the end of the stream; then writes result.json.
  /// Throws Interrupted when a signal has arrived (the state is saved), and Error when the run fails.
  void run(RunDirectory& directory, Console& console);

 private:
  /// The test result, which holds until the next update.
  struct Judgement {
    double measured = 0;  // the error or the perplexity
    std::optional<double> loss;
  };

  void resume(RunDirectory& directory, Console& console);
  void require_same_data(const nlohmann::json& state) const;
  void arrive(std::int64_t t, RunDirectory& directory, Console& console);
  double planned_samples(UpdateSpan span) const;
  void judge(Console& console);
  void take(const Score& test);
  std::optional<double> bits_per_byte() const;
  void settle(RunDirectory& directory, Console& console);
  void answer_interrupt(Console& console);
  [[noreturn]] void stop(RunDirectory& directory, Console& console);
  void save(RunDirectory& directory, Console& console);
  double between_saves() const;
  void finish(RunDirectory& directory, Console& console);
  void show_progress(Console& console, std::int64_t t, const FitProgress& fit, bool done);
  double seconds() const;

  Config config_;
  Context& context_;
  InputDescription input_;
  std::string data_sha256_;
  double bytes_per_token_;  // Task::bytes_per_token
  std::shared_ptr<const Samples> train_;
  // The context of the test set and of the tested copy of the learner. Where the device allows a second context, the test
  // overlaps with the next update; elsewhere this is the context of the training.
  std::unique_ptr<Context> beside_;
  Context& test_context_;
  std::shared_ptr<const Samples> test_;
  Tensor test_indices_;
  MegaBatchStream stream_;
  Updates updates_;
  std::unique_ptr<Learner> learner_;

  std::unique_ptr<CheckpointStore> store_;
  std::vector<MegaBatchRecord> records_;  // of the mega-batches that have been tested
  Judgement judgement_;
  Cost cost_;                                         // of finished updates
  double cer_ = 0;                                    // so far
  double samples_ = 0;                                // planned for the updates before the current one
  double samples_planned_ = 0;                        // for all updates
  nlohmann::json history_ = nlohmann::json::array();  // the devices that this run has used
  double seconds_before_ = 0;                         // of earlier processes
  double started_ = 0, last_save_ = 0;                // steady clock
  double save_seconds_ = 0;                           // that the last save has taken
  bool answered_ = false;                             // the user has been told that an interrupt was seen
  std::vector<MegaBatchRecord> waiting_;              // waiting for the evaluation that is running; not written yet
  std::future<Score> judging_;  // last member: its thread ends before the data that it uses is destroyed
};

}  // namespace alma
