#pragma once
#include <vector>

#include "engine/nn.h"
#include "engine/nn_images.h"

namespace alma {

struct FireflySettings {
  std::int64_t candidates = 70;  // new neurons that each layer, and each place for a new one, is offered
  bool width = true;             // hidden layers are offered splits and new neurons
  std::int64_t new_layers = 0;   // the most layers that are added between hidden layers
  double penalty = 1e-2;         // of the squared directions of splits
  double new_penalty = 1e-4;     // of the squared incoming weights of new neurons
};

/// Firefly (Wu et al., NeurIPS 2020, "Firefly Neural Architecture Descent", as in the official code): a network is grown
/// where that lowers the loss most. Each neuron of a hidden layer may be split in two, whose weights are its own plus and
/// minus a direction and whose outputs are averaged; and each layer is offered new neurons, with incoming weights and
/// outgoing ones. Directions and new weights are trained for a while, the network itself being frozen; then each candidate
/// has a score, the derivative of the loss for its strength, and those of the lowest scores become neurons.
///
/// In depth, a place in front of each hidden layer but the first is offered new neurons as well. They read what comes to the
/// layer and go out to it; a place of which some are chosen becomes a layer that passes on what comes to it (which is not
/// negative, so that ReLU is the identity) beside its new neurons. The method's paper has such layers, neither code has.
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
  /// layer but the first, "l.outgoing" [out + candidates, candidates of the layer before, ...]; of the place in front of it
  /// "l.before.new" [candidates, in, ...] and "l.before.outgoing" [out + candidates, candidates, ...].
  std::vector<NamedTensor> candidates() const;
  /// The number of candidates of each hidden layer: of splits, of new neurons, and of those in front of it.
  std::vector<std::int64_t> counts() const;
  /// A score for each of them, in this order: the derivative of the loss for its strength, from the gradients that the
  /// candidates have, divided by `batches`.
  std::vector<std::vector<double>> scores(std::int64_t batches) const;
  /// The neurons of all hidden layers.
  std::int64_t neurons() const;
  /// Makes neurons of the candidates whose score is at most that of number `elites` (counted from 0) among all that are
  /// offered, `elites` + 1 of them if no two are equal and so many are offered. Of the places, those remain whose candidates
  /// lie below this score by most in sum. A new neuron of the last hidden layer starts without outgoing weights, as in the
  /// official code. Returns how many there are. To be called once; the candidates then are no longer of use.
  std::int64_t grow(const std::vector<std::vector<double>>& scores, std::int64_t elites);
  /// New layers whose normalisation has yet to learn its statistics.
  bool wants_statistics() const { return !new_norms_.empty(); }
  /// After grow(): gives the normalisations of new layers the statistics of this mini-batch and those before, and weights
  /// that undo them, so that such a layer is the identity in evaluation and nearly so in training (Net2Net, Chen et al.
  /// 2016).
  void learn_statistics(const Tensor& x);

 private:
  struct Hidden {
    Sequential* parent = nullptr;
    Linear* linear = nullptr;  // or
    Conv2d* conv = nullptr;
    BatchNorm2d* norm = nullptr;
    bool pool = false;
    Tensor split = {}, fresh = {}, outgoing = {};    // outgoing: undefined in the first layer
    Tensor fresh_before = {}, outgoing_before = {};  // of the place in front of it, if that is offered

    const Tensor& weight() const { return linear != nullptr ? linear->weight() : conv->weight(); }
    const Tensor& bias() const { return linear != nullptr ? linear->bias() : conv->bias(); }
    std::int64_t neurons() const { return weight().dim(0); }
  };
  /// The candidates of a layer that become neurons.
  struct Chosen {
    std::vector<std::int32_t> split, fresh, before;
  };
  struct NewNorm {
    BatchNorm2d* norm;
    std::int64_t batches = 0;
  };
  static Shape with_first_two(const Shape& shape, std::int64_t a, std::int64_t b);
  /// Weights [neurons, neurons, ...] that pass on what comes in.
  static Tensor identity(Context& context, const Shape& shape, DType dtype);
  void add_layers(Module& module, Sequential* parent);
  void draw_candidates(RandomStream& init);
  Tensor images_or_rows(const Tensor& x) const;
  Tensor forward_layer(const Hidden& layer, const Tensor& x, bool doubled) const;
  Tensor forward_place(const Hidden& layer, const Tensor& x, const Tensor& fresh) const;
  std::vector<Chosen> choose(std::vector<std::vector<double>> scores, std::int64_t elites) const;
  void grow_rows(const Hidden& layer, const Chosen& own, const Chosen& before) const;
  void insert_layer(const Hidden& layer, const Chosen& own, const Chosen& before);
  void resize_head(const Chosen& before) const;

  FireflySettings settings_;
  Module& model_;
  std::vector<Hidden> layers_;
  Linear* head_ = nullptr;
  Tensor head_outgoing_;  // [classes, candidates]
  std::vector<NewNorm> new_norms_;
};

}  // namespace alma
