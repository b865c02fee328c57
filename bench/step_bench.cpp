// The parts of a run of the MNIST networks: complete training steps at batch 128 (gather, forward, backward, Adadelta), the
// validation on a mega-batch's 12 images of 120, and the evaluation of 10,000 test images; and complete training steps of
// the CIFAR-10 networks (crop, mirror, forward, backward, SGD with momentum).
#include "alma/learn/evaluate.h"
#include "alma/learn/image_samples.h"
#include "alma/learn/trainer.h"
#include "bench/bench.h"
#include "models/mlp.h"
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

}  // namespace

void register_steps(Suite& suite) {
  register_vgg_steps(suite);
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
