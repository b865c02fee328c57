#include <algorithm>
#include <cstdio>

#include "alma/commands/commands.h"
#include "alma/console/text.h"
#include "alma/learn/image_samples.h"
#include "alma/learn/kinds.h"
#include "alma/run/checkpoint.h"
#include "alma/run/run_directory.h"
#include "base/json.h"
#include "base/process.h"
#include "data/cifar.h"
#include "data/idx.h"

namespace alma {

namespace {

/// A learner restored from a checkpoint.
struct Loaded {
  Config config;
  InputDescription input;
  std::unique_ptr<Learner> learner;
};

Loaded load_learner(const EvalOptions& options, Context& context) {
  if (const std::string few = thread_shortage(options.threads, context.threads()); !few.empty())
    std::fprintf(stderr, "warning: %s\n", few.c_str());
  // The run directory, or the checkpoint folder in it.
  std::filesystem::path run = options.checkpoint;
  if (!std::filesystem::exists(run / "config.toml") && std::filesystem::exists(run / ".." / "config.toml")) run /= "..";
  Loaded loaded;
  loaded.config = read_run_config(run);
  check_trainable(loaded.config);
  CheckpointStore store(run / "checkpoint");
  if (!store.exists())
    fail(ErrorKind::data, "no checkpoint in ", run, "; continue the run with --resume until it has saved one");
  Checkpoint checkpoint = store.load(context);
  if (!checkpoint.note.empty()) std::fprintf(stderr, "warning: %s\n", checkpoint.note.c_str());
  for (const std::string& change : config_changes(checkpoint.mark, run))
    std::fprintf(stderr, "warning: %s; the checkpoint is of before\n", change.c_str());
  loaded.input = input_from_json(json_member(checkpoint.state, "input"));
  loaded.learner = make_learner(loaded.config, context, loaded.input);
  loaded.learner->load(std::move(checkpoint.tensors), json_member(checkpoint.state, "learner"));
  require_takes(loaded.input, *loaded.learner, context);
  return loaded;
}

// Reads the images of an IDX file, or of a file of CIFAR-10's binary version (NAME.bin, packed or not).
ImageSet read_images(const std::string& file) {
  const std::filesystem::path path = file;
  const bool packed = path.extension() == ".gz" || path.extension() == ".xz";
  if ((packed ? path.stem() : path).extension() != ".bin") return read_idx_images(file);
  CifarReader reader(file, 0);
  read_cifar_file(file, reader);
  return reader.finish();
}

}  // namespace

int eval_command(const EvalOptions& options) {
  require_standard_output();
  Context context(options.device, options.threads);
  const Loaded loaded = load_learner(options, context);
  const Task task = load_task(loaded.config, loaded.input);
  const auto test = task.test(context);
  const Score result = loaded.learner->evaluator(context, test, all_indices(context, test->count()))({});
  const auto predictions = static_cast<long long>(result.predictions);
  if (test->measure() == Measure::perplexity) {
    std::printf("%s: perplexity %.3f, %.4f bits per byte (%lld tokens), loss %.4f\n", task.test_name.c_str(),
                result.perplexity(), bits_per_byte(result.perplexity(), task.bytes_per_token), predictions, result.loss());
  } else {
    std::printf("%s: error %.4f (%lld of %lld wrong), loss %.4f\n", task.test_name.c_str(), result.error(),
                predictions - static_cast<long long>(result.hits), predictions, result.loss());
  }
  return 0;
}

int predict_command(const EvalOptions& options) {
  require_standard_output();
  Context context(options.device, options.threads);
  const Loaded loaded = load_learner(options, context);
  if (loaded.input.of_text())
    fail(ErrorKind::usage, "alma predict names the classes of images, and the model in ", options.checkpoint,
         " is of text; alma eval tests it");
  std::printf("file\timage\tclass\tprobability\n");
  constexpr std::int64_t batch = 512;
  for (const std::string& file : options.files) {
    ImageSet set = read_images(file);
    require_fit(loaded.input, set, file);
    const std::int64_t count = static_cast<std::int64_t>(set.pixels.size()) / set.pixels_per_image();
    set.labels.assign(static_cast<std::size_t>(count), 0);
    const auto images = upload_samples(context, set, loaded.input.mean, loaded.input.std);
    const Tensor indices = all_indices(context, count);
    for (std::int64_t first = 0; first < count; first += batch) {
      const Tensor part = indices.part(first, {std::min(batch, count - first)});
      const std::vector<float> p = loaded.learner->predict(images->batch(part, {}).x).to_vector<float>();
      const auto classes = static_cast<std::ptrdiff_t>(loaded.input.classes);
      for (std::int64_t i = 0; i < part.count(); ++i) {
        const auto row = p.begin() + i * classes;
        const auto best = std::max_element(row, row + classes);
        std::printf("%s\t%lld\t%lld\t%.6f\n", file.c_str(), static_cast<long long>(first + i),
                    static_cast<long long>(best - row), static_cast<double>(*best));
      }
    }
  }
  return 0;
}

}  // namespace alma
