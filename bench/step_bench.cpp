// The parts of a run of the MNIST networks: complete training steps at batch 128 (gather, forward, backward, Adadelta), the
// validation on a mega-batch's 12 images of 120, and the evaluation of 10,000 test images; and complete training steps of
// the CIFAR-10 networks (crop, mirror, forward, backward, SGD with momentum). And complete training steps of language models
// (forward, backward, AdamW).
#include "alma/learn/evaluate.h"
#include "alma/learn/image_samples.h"
#include "alma/learn/trainer.h"
#include "bench/bench.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "models/transformer.h"
#include "models/vgg.h"

namespace alma::bench {

namespace {

constexpr std::int64_t kBatch = 128, kValidation = 12, kTest = 10000, kPixels = 784;

std::unique_ptr<Module> make_model(Suite& suite, std::int64_t width, std::int64_t experts) {
  return make_mlp(suite.context, {kPixels, width, 10, experts, 2}, RandomStream(0, "bench"));
}

DeviceImages grey_images(Suite& suite, std::int64_t count) {
  return {Tensor::full(suite.context, {count, 1, 28, 28}, DType::u8, 100), zero_indices(suite, count),
          normalisation(std::vector<float>{0.1307f}, std::vector<float>{0.3081f})};
}
DeviceImages colour_images(Suite& suite, std::int64_t count) {
  return {Tensor::full(suite.context, {count, 3, 32, 32}, DType::u8, 100), zero_indices(suite, count),
          normalisation(std::vector<float>{0.4914f, 0.4822f, 0.4465f}, std::vector<float>{0.2470f, 0.2435f, 0.2616f})};
}

/// A model and the first `used` of the images. It does not learn: the gradients of a model that knows its only batch become
/// denormal numbers, with which some processors compute a hundred times more slowly.
struct Run {
  Run(Suite& suite, std::unique_ptr<Module> network, const DeviceImages& set, std::int64_t used, const OptimizerRule& rule,
      const ImageAugmentation& augmentation = {})
      : images(set, 10, augmentation),
        indices(all_indices(suite.context, used)),
        losses(Tensor::empty(suite.context, {1}, DType::f32)),
        model(std::move(network)),
        trainer(*model, images, {1}, {.rule = rule, .learning_rate = 0}) {}
  void step() { trainer.step(indices, losses); }
  ImageSamples images;
  Tensor indices, losses;
  std::unique_ptr<Module> model;
  Trainer trainer;
};

std::shared_ptr<Run> mlp_run(Suite& suite, std::int64_t width, std::int64_t experts, std::int64_t count, std::int64_t used) {
  return std::make_shared<Run>(suite, make_model(suite, width, experts), grey_images(suite, count), used, AdadeltaRule{});
}
std::shared_ptr<Run> vgg_run(Suite& suite, std::int64_t width) {
  const ImageAugmentation cut{4, {-1.9f, -1.9f, -1.9f}, true};
  return std::make_shared<Run>(suite, make_vgg19(suite.context, {3, width, 10, 1}, RandomStream(0, "bench")),
                               colour_images(suite, 1000), kBatch, SgdRule{0.9, 1e-4, false}, cut);
}

// Counts each array once, although a step's ops read and write many of them several times: pixels as bytes and as floats,
// and for each parameter weight, gradient and two states. The outputs of the layers are small in comparison.
double step_bytes(std::int64_t parameters) { return static_cast<double>(kBatch * kPixels * 5 + parameters * 16); }

/// An mlp of width 64 whose layers are hard mixtures that have been split alike, up to so many experts; on images that leave
/// every gate undecided, so that all experts are used alike.
std::shared_ptr<Run> hard_mixture_run(Suite& suite, int experts, std::int64_t batch) {
  auto model = make_mlp(suite.context, {kPixels, 64, 10, 2, 2, Gating::hard}, RandomStream(1, "bench"));
  RandomStream random(2, "bench");
  for (Mixture* mixture : mixtures_of(*model))
    for (int k = 2; k < experts; ++k) mixture->split(k < 4 ? k - 2 : k < 8 ? k - 4 : k - 8, 2, random);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(batch * kPixels));
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  const DeviceImages images{Tensor::from(suite.context, {batch, 1, 28, 28}, pixels), zero_indices(suite, batch),
                            normalisation(std::vector<float>{0.5f}, std::vector<float>{0.29f})};
  return std::make_shared<Run>(suite, std::move(model), images, batch, AdadeltaRule{});
}

void register_hard_mixtures(Suite& suite) {
  for (const std::int64_t batch : {std::int64_t{128}, std::int64_t{1024}})
    for (const int experts : {2, 12})
      add(suite, "step/hard_mixture/e" + std::to_string(experts) + "_n" + std::to_string(batch), [=, &suite]() -> Work {
        const auto run = hard_mixture_run(suite, experts, batch);
        return [run] { run->step(); };
      });
}

void register_vgg_steps(Suite& suite) {
  // Forward MACs of a sample, by width (the paper's table); a step has three times as many.
  for (const auto& [width, macs] : {std::pair{4, 403'368.0}, {16, 4'848'288.0}, {64, 71'150'208.0}}) {
    const std::string name = "step/vgg19/h" + std::to_string(width);
    if (suite.too_large(name, 6 * kBatch * macs)) continue;
    add(suite, name, [=, width = width, &suite]() -> Work {
      const auto run = vgg_run(suite, width);
      return [run] { run->step(); };
    });
  }
}

/// Sequences that are the same in every batch.
class Sequences final : public Samples {
 public:
  Sequences(Context& context, std::int64_t count, std::int64_t t, std::int64_t vocabulary) : vocabulary_(vocabulary) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(count * t));
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(i * 2'654'435'761 % static_cast<std::size_t>(vocabulary));
    batch_ = {Tensor::from(context, {count, t}, tokens), Tensor::from(context, {count * t}, tokens)};
  }
  std::int64_t count() const override { return batch_.x.dim(0); }
  std::int64_t classes() const override { return vocabulary_; }
  Measure measure() const override { return Measure::perplexity; }
  Batch batch(const Tensor&, const Draw&) const override { return batch_; }
  Tensor example(Context&) const override { return batch_.x.part(0, {1, batch_.x.dim(1)}); }
  std::int64_t evaluation_batch() const override { return count(); }

 private:
  Batch batch_;
  std::int64_t vocabulary_;
};

void register_language_model(Suite& suite, const std::string& name, const TransformerSettings& settings) {
  constexpr std::int64_t sequences = 4;
  const auto d = static_cast<double>(settings.width), t = static_cast<double>(settings.sequence),
             layers = static_cast<double>(settings.layers), vocabulary = static_cast<double>(settings.vocabulary);
  if (suite.too_large(name, 6 * sequences * t * (vocabulary * d + layers * (12 * d * d + 2 * t * d)))) return;
  struct LanguageRun {
    LanguageRun(Context& context, const TransformerSettings& s)
        : model(context, s, RandomStream(0, "bench")), samples(context, sequences, s.sequence, s.vocabulary) {}
    Transformer model;
    Sequences samples;
    Trainer trainer{model, samples, {1}, {.rule = AdamRule{.decoupled = true}, .learning_rate = 0}};
  };
  add(suite, name, [=, &suite]() -> Work {
    const auto run = std::make_shared<LanguageRun>(suite.context, settings);
    const Tensor indices = all_indices(suite.context, sequences), losses = Tensor::empty(suite.context, {1}, DType::f32);
    return [=] { run->trainer.step(indices, losses); };
  });
}

void register_language_models(Suite& suite) {
  // The paper's base, whose output layer has more than half of the multiply-adds; and one that trains in minutes, dense and
  // with experts.
  register_language_model(suite, "step/lm/base", {.vocabulary = 51'200});
  const TransformerSettings tiny{.vocabulary = 2048, .sequence = 128, .width = 128, .layers = 4, .heads = 4};
  register_language_model(suite, "step/lm/tiny", tiny);
  TransformerSettings experts = tiny;
  experts.experts = 4;
  register_language_model(suite, "step/lm/tiny_e4", experts);
}

/// Forward and backward of the feed-forward layer of `base` for 2,048 tokens: dense, and with experts of which each token
/// takes one, which has the same multiply-adds.
void register_feed_forward(Suite& suite) {
  constexpr std::int64_t tokens = 2048, d = 512, hidden = 4 * d;
  const std::string name = "layer/feed_forward";
  if (suite.too_large(name, 6.0 * tokens * 2 * d * hidden)) return;
  for (const std::int64_t experts : {1, 4, 8}) {
    add(suite, name + (experts == 1 ? "/dense" : "/e" + std::to_string(experts)), [=, &suite]() -> Work {
      Context& context = suite.context;
      RandomStream init(0, "bench");
      std::shared_ptr<Module> layer;
      if (experts > 1) {
        layer = std::make_shared<SwitchLayer>(context, SwitchSettings{d, hidden, experts}, 0.02, init);
      } else {
        auto dense = std::make_shared<Sequential>();
        dense->add("in", std::make_unique<Linear>(context, d, hidden, true, init));
        dense->add("out", std::make_unique<Linear>(context, hidden, d, false, init));
        layer = dense;
      }
      const Tensor x = normal_parameter(context, {tokens, d}, 1, init, DType::f32), cotangent = ones(suite, {tokens, d});
      return [=] {
        Pass pass{.purpose = Purpose::training};
        layer->forward(x, pass).backward(cotangent);
        x.clear_grad();
        for (const auto& [parameter, tensor] : named_parameters(*layer)) tensor.clear_grad();
      };
    });
  }
}

}  // namespace

void register_steps(Suite& suite) {
  register_language_models(suite);
  register_feed_forward(suite);
  register_vgg_steps(suite);
  register_hard_mixtures(suite);
  for (const std::int64_t experts : {1, 2})
    for (const std::int64_t width : {4, 8, 16, 32, 64}) {
      const std::string model = std::string(experts == 1 ? "/mlp" : "/mixture") + "/h" + std::to_string(width);
      const std::int64_t parameters = count_parameters(*make_model(suite, width, experts));
      add(suite, "step" + model,
          [=, &suite]() -> Work {
            const auto run = mlp_run(suite, width, experts, 1000, kBatch);
            return [run] { run->step(); };
          },
          {{}, step_bytes(parameters), Traffic::copy});
      const auto evaluation = [=, &suite](std::int64_t count) {
        return [=, &suite]() -> Work {
          const auto run = mlp_run(suite, width, experts, count, count);
          return [run] { evaluate(*run->model, run->images, run->indices); };
        };
      };
      add(suite, "validation" + model, evaluation(kValidation));
      if (const std::string name = "evaluation" + model; !suite.too_large(name, static_cast<double>(2 * kTest * parameters)))
        add(suite, name, evaluation(kTest), {{}, static_cast<double>(kTest * kPixels + 512 * kPixels * 4), Traffic::copy});
    }
}

}  // namespace alma::bench
