#include "alma/run/anytime.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <system_error>
#include <utility>

#include "alma/config/build_info.h"
#include "alma/run/interrupt.h"
#include "base/clock.h"
#include "base/json.h"

namespace alma {

namespace {

std::optional<double> validation_error(const MegaBatchRecord& record) {
  return record.val_accuracy ? std::optional(1 - *record.val_accuracy) : std::nullopt;
}

// For a signal, while this thread waits for another.
constexpr std::chrono::milliseconds kBetweenLooks{50};

}  // namespace

AnytimeRun::AnytimeRun(const Config& config, Context& context, const Task& task)
    : config_(config),
      context_(context),
      input_(task.input),
      data_sha256_(task.fingerprint),
      bytes_per_token_(task.bytes_per_token),
      train_(task.train(context)),
      beside_(context.beside("judging")),
      test_context_(beside_ ? *beside_ : context),
      test_(task.test(test_context_)),
      test_indices_(all_indices(test_context_, test_->count())),
      stream_(task.stream),
      updates_(stream_, config.learner.wait, config.learner.replay),
      learner_(make_learner(config, context, input_)) {
  judgement_.measured = chance(test_->measure(), test_->classes());
  for (const UpdateSpan span : expected_updates(config.stream.mega_batches, config.learner.wait))
    samples_planned_ += planned_samples(span);
}

double AnytimeRun::planned_samples(UpdateSpan span) const {
  const std::int64_t before = updates_.train_samples(0, span.first);
  const std::int64_t samples = updates_.train_samples(config_.learner.replay ? 0 : span.first, span.last);
  return static_cast<double>(learner_->planned_samples(samples, before));
}

RunFacts AnytimeRun::facts() {
  RunFacts facts;
  facts.backend = context_.backend().info();
  for (std::int64_t t = 0; t < stream_.size(); ++t) {
    const auto samples = static_cast<std::int64_t>(stream_[t].train.size());
    facts.train_samples += samples;
    facts.smallest = t == 0 ? samples : std::min(facts.smallest, samples);
    facts.largest = std::max(facts.largest, samples);
    facts.validation_samples += static_cast<std::int64_t>(stream_[t].validation.size());
  }
  facts.test_samples = test_indices_.count();
  facts.classes = static_cast<int>(test_->classes());
  facts.sequence = input_.sequence;
  facts.parameters = learner_->parameters();
  facts.macs_per_sample = learner_->macs_per_sample(*train_);
  return facts;
}

double AnytimeRun::seconds() const { return seconds_before_ + steady_seconds() - started_; }

void AnytimeRun::run(RunDirectory& directory, Console& console) {
  started_ = last_save_ = steady_seconds();
  store_ = std::make_unique<CheckpointStore>(directory.checkpoint_folder());
  if (store_->exists()) {
    resume(directory, console);
  } else {
    directory.start_over();
    if (config_.stream.untrained == "measured") judge(console);
    settle(directory, console);
  }
  const BackendInfo info = context_.backend().info();
  const nlohmann::json here = {
      {"device", info.device}, {"level", info.level}, {"hardware", info.hardware}, {"version", version()}};
  if (!history_.empty() && history_.back() != here)
    console.warn("this run continues on another device or version: was " + history_.back().dump() + ", is " + here.dump() +
                 "; its numbers differ from those of a run on either of them");
  if (history_.empty() || history_.back() != here) history_.push_back(here);
  try {
    for (auto t = static_cast<std::int64_t>(records_.size()) + 1; t <= stream_.size(); ++t) arrive(t, directory, console);
  } catch (const Error&) {
    settle(directory, console);  // keeps the records that were judged before the failure
    throw;
  }
  finish(directory, console);
}

void AnytimeRun::resume(RunDirectory& directory, Console& console) {
  Checkpoint checkpoint = store_->load(context_);
  if (!checkpoint.note.empty()) console.warn(checkpoint.note);
  const nlohmann::json& state = checkpoint.state;
  require_same_data(state);
  directory.require(checkpoint.mark);
  judgement_.measured = json_number(state, name_of(test_->measure()));
  if (!json_member(state, "loss").is_null()) judgement_.loss = json_number(state, "loss");
  cost_ = {count_from_text(json_text(state, "macs")), count_from_text(json_text(state, "flops")), 0};
  samples_ = json_number(state, "samples");
  seconds_before_ = json_number(state, "seconds");
  history_ = json_member(state, "history");
  learner_->load(std::move(checkpoint.tensors), json_member(state, "learner"));
  require_takes(input_, *learner_, context_);
  // Records are removed last, once everything else has succeeded.
  records_ = directory.go_back_to(checkpoint.mark);
  for (const MegaBatchRecord& record : records_) {
    cer_ += judged_by(record);
    if (record.updated) updates_.has_happened(record.t, validation_error(record));
  }
}

void AnytimeRun::require_same_data(const nlohmann::json& state) const {
  if (!state.contains("data_sha256")) return;  // saved by an earlier version
  if (const std::string before = json_text(state, "data_sha256"); before != data_sha256_)
    fail(ErrorKind::data, "the data set ", config_.stream.dataset, " has changed since this run began: its content has ",
         "SHA-256 ", data_sha256_, ", it was ", before,
         " when the checkpoint was saved; restore the files, or start again with another --out");
}

// Tests the learner in its present state, or starts a test whose result settle() collects.
void AnytimeRun::judge(Console& console) {
  struct TakeBack {
    Context& context;
    ~TakeBack() { context.lend_threads(0); }
  };
  const auto work =
      [this, evaluate = learner_->evaluator(test_context_, test_, test_indices_)](const std::function<void()>& after_batch) {
        const TakeBack take_back{context_};
        const ProfileSpan span(test_context_, "test evaluation");
        return evaluate(after_batch);
      };
  // The test runs at the same time as the next update if the update takes longer: a training sample costs about three
  // evaluations. Otherwise all threads test first.
  const auto tested = static_cast<double>(test_indices_.count());
  const UpdateSpan next = updates_.next();
  if (beside_ && next.first < next.last && 3 * planned_samples(next) >= 2 * tested) {
    context_.lend_threads(1);
    try {
      judging_ = std::async(std::launch::async, work, nullptr);
      return;
    } catch (const std::system_error&) {
      context_.lend_threads(0);  // the system starts no more threads: this one tests
    }
  }
  take(work([&] { answer_interrupt(console); }));
}

void AnytimeRun::take(const Score& test) {
  judgement_.measured = measured(test_->measure(), test);
  judgement_.loss = std::isfinite(test.loss()) ? std::optional(test.loss()) : std::nullopt;
}

std::optional<double> AnytimeRun::bits_per_byte() const {
  if (bytes_per_token_ == 0) return std::nullopt;
  return alma::bits_per_byte(judgement_.measured, bytes_per_token_);
}

// Waits for the evaluation that is running, and writes the records that needed its result.
void AnytimeRun::settle(RunDirectory& directory, Console& console) {
  if (judging_.valid()) {
    while (judging_.wait_for(kBetweenLooks) != std::future_status::ready) answer_interrupt(console);
    take(judging_.get());
  }
  for (MegaBatchRecord& record : waiting_) {
    (test_->measure() == Measure::error ? record.error : record.ppl.emplace()) = judgement_.measured;
    record.loss = judgement_.loss;
    record.bits_per_byte = bits_per_byte();
    directory.append(record);
    records_.push_back(record);
    cer_ += judged_by(record);
  }
  waiting_.clear();
}

void AnytimeRun::show_progress(Console& console, std::int64_t t, const FitProgress& fit, bool done) {
  console.progress({t, stream_.size(), fit.epoch, fit.max_epochs, judgement_.measured, cer_,
                    samples_ + static_cast<double>(fit.samples), samples_planned_, done,
                    test_->measure() == Measure::perplexity, bits_per_byte()});
}

void AnytimeRun::arrive(std::int64_t t, RunDirectory& directory, Console& console) {
  std::int64_t max_epochs = config_.train.max_epochs;
  const auto after_step = [&](const FitProgress& fit) {
    max_epochs = fit.max_epochs;
    show_progress(console, t, fit, false);
    if (interrupted()) stop(directory, console);
    if (steady_seconds() - last_save_ >= between_saves()) save(directory, console);
  };
  MegaBatchRecord record;
  record.t = t;
  record.updated = updates_.happens_at(t);
  if (record.updated) {
    const UpdateSpan span = updates_.span(t);
    const MegaBatch data = collect(stream_, span.first, span.last, config_.learner.replay);
    const FitResult fit = learner_->update(updates_.count(), *train_, data, after_step);
    cost_ += fit.cost;
    samples_ += planned_samples(span);
    record.epochs = fit.epochs;
    if (train_->measure() == Measure::error) record.val_accuracy = fit.best;
    updates_.has_happened(t, validation_error(record));
    settle(directory, console);
    judge(console);
  }
  record.params = learner_->parameters();
  record.experts = learner_->experts();
  record.inference_macs = learner_->macs_per_sample(*train_);
  record.train_macs = cost_.macs;
  record.train_flops = cost_.flops;
  record.seconds = seconds();
  waiting_.push_back(record);
  if (!judging_.valid()) settle(directory, console);
  show_progress(console, t, {record.epochs, max_epochs, 0}, true);
  if (interrupted()) stop(directory, console);
}

// Once, and at once: what has to end before the state can be saved may take a while.
void AnytimeRun::answer_interrupt(Console& console) {
  if (interrupted() && !std::exchange(answered_, true))
    console.say("interrupted: saving; a second signal ends the run without that");
}

void AnytimeRun::stop(RunDirectory& directory, Console& console) {
  answer_interrupt(console);
  save(directory, console);
  throw Interrupted{};
}

// A state of gigabytes is saved less often than asked for, so that saving takes a tenth of the time at most.
double AnytimeRun::between_saves() const {
  constexpr double long_save = 1;
  return std::max(config_.train.checkpoint_seconds, save_seconds_ > long_save ? 10 * save_seconds_ : 0);
}

void AnytimeRun::save(RunDirectory& directory, Console& console) {
  settle(directory, console);
  const double begin = steady_seconds();
  const ProfileSpan span(context_, "checkpoint");
  const nlohmann::json learner = learner_->state();
  const nlohmann::json state = {{name_of(test_->measure()), judgement_.measured},
                                {"loss", judgement_.loss ? nlohmann::json(*judgement_.loss) : nlohmann::json()},
                                {"macs", to_text(cost_.macs)},
                                {"flops", to_text(cost_.flops)},
                                {"samples", samples_},
                                {"seconds", seconds()},
                                {"history", history_},
                                {"input", to_json(input_)},
                                {"learner", learner},
                                {"data_sha256", data_sha256_}};
  store_->save(learner_->tensors(), state, directory.mark());
  last_save_ = steady_seconds();
  save_seconds_ = last_save_ - begin;
}

void AnytimeRun::finish(RunDirectory& directory, Console& console) {
  save(directory, console);
  const Aggregates aggregates = aggregate(records_, config_.learner.wait);
  const BackendInfo info = context_.backend().info();
  nlohmann::ordered_json result = to_json(aggregates);
  result["seconds"] = seconds();
  result["device"] = info.device;
  result["level"] = info.level;
  result["hardware"] = info.hardware;
  result["libraries"] = info.versions;
  result["threads"] = context_.threads();
  result["seed"] = config_.seed;
  result["version"] = version();
  if (history_.size() > 1) result["history"] = history_;  // the run continued on another device or version
  directory.write_result(std::move(result));
  console.finish(aggregates, records_, directory.path());
}

}  // namespace alma
