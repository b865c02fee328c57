#pragma once
#include <future>
#include <memory>
#include <vector>

#include "alma/console/console.h"
#include "alma/learn/kinds.h"
#include "alma/learn/metrics.h"
#include "alma/run/checkpoint.h"
#include "alma/run/run_directory.h"
#include "data/stream.h"

namespace alma {

/// Thrown out of a run that was interrupted, after it has saved.
struct Interrupted {};

/// Anytime learning at macroscale, Algorithm 1 of Caccia et al. 2022: mega-batches arrive one after the other, the learner
/// waits, collects and updates, and the environment judges it after each arrival. The test set is touched here alone.
class AnytimeRun {
 public:
  /// `context` outlives the run.
  AnytimeRun(const Config& config, Context& context, const Task& task);

  /// For the start-up table; threads and folder are the caller's to fill in.
  RunFacts facts();
  /// From the last checkpoint of the directory, if there is one, to the end of the stream; then writes result.json.
  /// Throws Interrupted when a signal has arrived (the state is saved), and Error when the run fails.
  void run(RunDirectory& directory, Console& console);

 private:
  /// The test result that holds between updates.
  struct Judgement {
    double measured = 0;  // the error or the perplexity
    std::optional<double> loss;
  };

  void resume(RunDirectory& directory, Console& console);
  void require_same_data(const nlohmann::json& state) const;
  void arrive(std::int64_t t, RunDirectory& directory, Console& console);
  double planned_samples(std::int64_t update) const;
  void judge(std::int64_t updates_done, Console& console);
  void take(const Score& test);
  void settle(RunDirectory& directory, Console& console);
  void answer_interrupt(Console& console);
  [[noreturn]] void stop(RunDirectory& directory, Console& console);
  void save(RunDirectory& directory, Console& console);
  void finish(RunDirectory& directory, Console& console);
  void show_progress(Console& console, std::int64_t t, const FitProgress& fit, bool done);
  double seconds() const;

  Config config_;
  Context& context_;
  InputDescription input_;
  std::string data_sha256_;
  std::shared_ptr<const Samples> train_;
  // The test set and who is judged on it live in a context of their own where one can work beside the training: judging then
  // overlaps with the next update. Elsewhere it is the training's.
  std::unique_ptr<Context> beside_;
  Context& test_context_;
  std::shared_ptr<const Samples> test_;
  Tensor test_indices_;
  MegaBatchStream stream_;
  Schedule schedule_;
  std::unique_ptr<Learner> learner_;

  std::unique_ptr<CheckpointStore> store_;
  std::vector<MegaBatchRecord> records_;  // of the mega-batches that have been judged
  Judgement judgement_;
  Cost cost_;                                         // of finished updates
  double cer_ = 0;                                    // so far
  double samples_ = 0;                                // planned for the updates before the one under way
  double samples_planned_ = 0;                        // for all updates
  nlohmann::json history_ = nlohmann::json::array();  // the devices that this run has worked on
  double seconds_before_ = 0;                         // of earlier processes
  double started_ = 0, last_save_ = 0;                // steady clock
  bool answered_ = false;                             // a signal that asks for an end
  std::vector<MegaBatchRecord> waiting_;              // judged by the evaluation under way; not written yet
  std::future<Score> judging_;                        // last: its thread ends before what it uses goes
};

}  // namespace alma
