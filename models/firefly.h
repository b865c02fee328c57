#pragma once
#include <vector>

#include "engine/nn.h"
#include "engine/nn_images.h"

namespace alma {

struct FireflySettings {
  std::int64_t candidates = 70;  // new neurons that each layer is offered
  double penalty = 1e-2;         // of the squared directions of splits
  double new_penalty = 1e-4;     // of the squared incoming weights of new neurons
};

/// Firefly (Wu et al., NeurIPS 2020, "Firefly Neural Architecture Descent", as in the official code): a network is grown
/// where that lowers the loss most. Each neuron of a hidden layer may be split in two, whose weights are its own plus and
/// minus a direction and whose outputs are averaged; and each layer is offered new neurons, with incoming weights and
/// outgoing ones. Directions and new weights are trained for a while, the network itself being frozen; then each candidate
/// has a score, the derivative of the loss for its strength, and those of the lowest scores become neurons.
///
/// For chains of Linears with ReLU, or of convolutions with batch normalisation, ReLU and max-pools of 2 x 2, before a last
/// Linear: mlp and vgg19. Normalisation uses the running statistics.
class Firefly {
 public:
  /// Draws the candidates from `init`, layer by layer: directions U(-.1, .1), outgoing weights of the layer before U(-.01,
  /// .01), incoming weights N(0, .1^2). The model outlives this. Throws Error if it is no such chain.
  Firefly(Module& model, const FireflySettings& settings, RandomStream& init);
  /// The logits of the network with all its candidates; a gradient goes to them alone.
  Tensor forward(const Tensor& x) const;
  /// The sum of the penalties of forward()'s candidates.
  Tensor penalty() const;
  /// The candidates, for an optimizer: of layer l "l.split" [out, in, ...], "l.new" [candidates, in, ...] and, of every
  /// layer but the first, "l.outgoing" [out + candidates, candidates of the layer before, ...].
  std::vector<NamedTensor> candidates() const;
  /// A score for each candidate of each hidden layer, first of the splits and then of the new neurons: the derivative of the
  /// loss for its strength, from the gradients that the candidates have, divided by `batches`.
  std::vector<std::vector<double>> scores(std::int64_t batches) const;
  /// The neurons of all hidden layers.
  std::int64_t neurons() const;
  /// Makes neurons of the candidates whose score is at most that of number `elites` (counted from 0) among all, `elites` + 1
  /// of them if no two are equal. A new neuron of the last hidden layer starts without outgoing weights, as in the official
  /// code. Returns how many there are. To be called once; the candidates then are no longer of use.
  std::int64_t grow(const std::vector<std::vector<double>>& scores, std::int64_t elites);

 private:
  struct Hidden {
    Linear* linear = nullptr;  // or
    Conv2d* conv = nullptr;
    BatchNorm2d* norm = nullptr;
    bool pool = false;
    Tensor split = {}, fresh = {}, outgoing = {};  // outgoing: undefined in the first layer

    const Tensor& weight() const { return linear != nullptr ? linear->weight() : conv->weight(); }
    const Tensor& bias() const { return linear != nullptr ? linear->bias() : conv->bias(); }
    std::int64_t neurons() const { return weight().dim(0); }
  };
  /// The candidates of a layer that become neurons.
  struct Chosen {
    std::vector<std::int32_t> split, fresh;
  };
  void add_layers(Module& module);
  Tensor forward_layer(const Hidden& layer, const Tensor& x, bool doubled) const;
  void grow_rows(const Hidden& layer, const Chosen& own, const Chosen& before) const;
  void resize_head(const Chosen& before) const;

  FireflySettings settings_;
  std::vector<Hidden> layers_;
  Linear* head_ = nullptr;
  Tensor head_outgoing_;  // [classes, candidates]
};

}  // namespace alma
