#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "kernels/observer.h"
#include "kernels/optimizer_rules.h"

namespace alma {

/// gelu: x Phi(x) by its tanh form, x / (1 + e^(-2 u)) with u = sqrt(2 / pi) (x + .044715 x^3) (Hendrycks & Gimpel 2016, as
/// in GPT-2).
enum class UnaryOp { relu, gelu, exp, log, sqrt };
/// relu_gradient: a where b > 0, else 0. gelu_gradient: a gelu'(b).
enum class BinaryOp { add, subtract, multiply, divide, relu_gradient, gelu_gradient };

/// The arithmetic of products; all of them add in f32 (f64 operands: f64). f32 multiplies f32 in full. Less is asked for:
/// tf32 rounds f32 operands to 10 bits of mantissa; bf16 goes with bf16 operands.
enum class Math { f32, tf32, bf16 };
constexpr const char* name_of(Math math) {
  switch (math) {
    case Math::f32: return "f32";
    case Math::tf32: return "tf32";
    case Math::bf16: return "bf16";
  }
  return "?";
}

/// The label of a row without a prediction, such as one behind the end of a text: no loss, no hit, no gradient.
inline constexpr std::int32_t kNoLabel = -1;

/// What a product does to its result before it is written, and what else it leaves. Types are C's.
struct Epilogue {
  In bias = {};             // [n], added to every row, or in a batch [batch, n]; null: none
  bool relu = false;        // max(0, .) after the bias
  bool accumulate = false;  // C += instead of C =; with nothing else
  Out relu_mask = {};       // with relu: u8 [relu_mask_bytes()], what `mask` of a later product wants; null: nothing

  // For gradients of a layer; not in a batch, nor with anything above.
  In masked_by = {};     // [m, n], the result y of a product with relu: C = 0 where y is not > 0
  In mask = {};          // y's relu_mask, where it has one
  Out column_sums = {};  // [n], with masked_by: sums over the rows of C as it is written
  Out sums_of_a = {};    // [m], A transposed, without masked_by: sums of op(A) over k
};

/// How a two-dimensional convolution walks over its images. Output sizes are floor((size + 2 padding - kernel) / stride)
/// + 1.
struct ConvGeometry {
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t padding_h = 0, padding_w = 0;  // zeros on both sides
  std::int64_t groups = 1;                    // divides the channels of both sides
};

/// u8 pixel p of channel c becomes p * scale[c] + shift[c] (one fused multiply-add in f32).
struct PixelScale {
  static constexpr int max_channels = 4;
  float scale[max_channels] = {1, 1, 1, 1};
  float shift[max_channels] = {0, 0, 0, 0};
};

/// A matrix of images that is not stored: row i is images[indices[i]] normalised.
struct ImageRows {
  In images;          // u8 [count, 1, height, width]
  In indices;         // i32 [n], each in [0, count)
  PixelScale pixels;  // channel 0
};

/// What changes from step to step, in device memory, so that a captured graph replays correctly.
struct StepState {
  std::int64_t step = 0;  // updates done before this one
  double learning_rate = 0;
};

/// Where a primitive's random bits come from: those of element i are number first + i of RandomStream(seed, purpose, step),
/// with the step of `state`. The same bits on every device, in any order of evaluation, and for a part of a batch as for the
/// whole: `first` is then the part's first element among all.
struct RandomPlace {
  std::uint64_t key = 0;             // RandomStream::key(seed, purpose)
  const StepState* state = nullptr;  // device memory
  std::int64_t first = 0;            // >= 0
};

/// What route_top1() finds for each token and expert.
struct Routes {
  Out probabilities;  // [tokens, experts]: softmax of the logits
  Out expert;         // i32 [tokens]: the most probable one; the lowest index wins ties, NaN loses
  Out gate;           // [tokens]: its probability
  Out position;       // i32 [tokens]: place among the expert's tokens, in batch order; -1: beyond the capacity
  Out slots;          // i32 [experts, capacity]: the token in each place; -1: none
  Out counts;         // i32 [experts]: tokens that chose the expert, whatever the capacity
  Out importance;     // [experts]: mean probability
  Out balance;        // []: experts * sum over e of counts[e] / tokens * importance[e]
};

/// Random crop and mirroring of training images (paper: pad 4, fill -1.9, flip). What an image of the batch gets is named by
/// (key, step, place.first + its number in the batch): see random_cut().
struct ImageAugmentation {
  int pad = 0;                                // rows and columns around the image, of which its own size is cut out
  float fill[PixelScale::max_channels] = {};  // of the padding, after normalisation
  bool flip = false;                          // left becomes right with probability 1/2
  RandomPlace place = {};                     // not needed without augmentation

  explicit operator bool() const { return pad != 0 || flip; }
};

/// Training mode of batch_norm(), with PyTorch's names and defaults.
struct BatchNormRule {
  double momentum = 0.1;  // running = (1 - momentum) * running + momentum * batch
  double epsilon = 1e-5;
  bool relu = false;  // y = max(0, .)
};

/// Pooling windows without padding: as many as fit, oh = (h - height) / stride + 1.
struct PoolWindow {
  std::int64_t height, width, stride;
};

/// What a backend says about itself, for `alma info`, the start-up table and result.json.
struct BackendInfo {
  std::string device;      // cpu | cuda | cuda:N | cuda-sim | cuda-sim:N, without a number for the first
  std::string level;       // cpu: generic | x86-64-v3 | x86-64-v4; cuda: sm_90, ...
  std::string hardware;    // processor or GPU name
  std::string versions;    // of the libraries that compute, "" if none
  bool shareable = false;  // a second backend on another thread computes beside this one (cpu), not in its place
  std::size_t memory = 0;  // bytes that the device has of its own; cpu: 0
  std::string why;         // for "auto": why it is this device; else ""
};

/// Recorded work of a backend.
class Graph {
 public:
  virtual ~Graph() = default;
  /// Queues all of it: the same primitives on the same arrays, which may hold other values by now.
  virtual void replay() = 0;
};

/// A device, its stream and its workspace, and the primitives that everything above is made of: raw memory, no Tensor, no
/// autograd. One implementation per device, one file per family. Used by one thread at a time, which may change.
///
/// Holds for every primitive unless it says otherwise: arrays are dense and row-major in this device's memory; where a
/// primitive names lanes16 it takes f32 images so too, on the cpu, all of one call alike; any size may be 0 (then nothing is
/// written); In and Out must not overlap, except that an element-wise Out may be one of its Ins; inputs of one call share
/// one dtype, f32 or f64 (cpu), f32 (cuda), and any other pair is an Error "[name] what, what was given"; results are the
/// same bits on every call, whatever the number of threads; work is queued on the stream and only download() and
/// synchronize() wait.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendInfo info() const = 0;

  // ---- memory ------------------------------------------------------------------------------------------------------
  /// Uninitialised device memory, aligned to 256 bytes. Throws Error when there is none left. bytes >= 1.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void deallocate(void* memory) noexcept = 0;
  /// Host to device. The host memory may be reused on return.
  virtual void upload(const void* host, void* device, std::size_t bytes) = 0;
  /// Device to host; waits for all work queued before.
  virtual void download(const void* device, void* host, std::size_t bytes) = 0;
  /// `rows` runs of `width` bytes within device memory, `pitch` bytes apart; concat, split and plain copies (rows = 1).
  virtual void copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch, std::size_t width,
                    std::size_t rows) = 0;
  virtual void fill(Out y, double value) = 0;
  virtual void synchronize() = 0;
  virtual void* native_stream() const { return nullptr; }  // cuda: the cudaStream_t, for kernels of one's own; cpu: null
  /// What is called until end_range() belongs together: it gets this name in the timeline of a profiling tool (cuda: NVTX).
  /// Ranges nest, per thread. Without effect on the cpu.
  virtual void begin_range(const char*) {}
  virtual void end_range() noexcept {}

  // ---- observation -------------------------------------------------------------------------------------------------
  /// From now on `observer` is told of every primitive and every call of memory above; null: nobody. It outlives the
  /// backend. Each of them then waits until the device has finished, so that times are the device's own: that costs the
  /// overlap of host and device, and there are no graphs. Results are the same bits.
  void observe(Observer* observer) { observer_ = observer; }
  bool is_observed() const { return observer_ != nullptr; }

  // ---- layouts -----------------------------------------------------------------------------------------------------
  /// The layout that stacks of convolutions on f32 images should have here.
  virtual Layout image_layout() const { return Layout::row_major; }
  /// y = x [n, c, h, w] in another layout: row_major to lanes16 (halo and spare lanes become 0) or back. f32, on the cpu.
  /// Minimum bytes: x + y.
  virtual void convert_layout(const In& x, const Out& y) {
    fail("[convert_layout] ", info().device, " has row_major images alone, got x ", x.layout, ", y ", y.layout);
  }

  // ---- graphs ------------------------------------------------------------------------------------------------------
  /// Whether capture() works: not while an observer looks on.
  virtual bool has_graphs() const { return false; }
  /// Records the primitives and copies that `work` calls instead of doing them. Each must have run before, outside of a
  /// capture and on the same shapes, so that its plan and its workspace exist. Throws what `work` throws, and Error where it
  /// calls upload(), download(), synchronize() or allocate(), or on a device without graphs. The arrays' memory must live as
  /// long as the graph, and the graph no longer than the backend.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>&) {
    fail("[capture] ", info().device, " has no graphs");
  }

  /// y = x in another type, rounded to nearest even; NaN stays NaN. f32 to bf16 and back; on the cpu also f32 to f64 and
  /// back. Minimum bytes: x + y.
  virtual void cast(const In& x, const Out& y) = 0;

  // ---- products ----------------------------------------------------------------------------------------------------
  /// C [m, n] = op(A) op(B), op = transpose where asked: A is [m, k], or [k, m] with transpose_a; B is [k, n], or [n, k].
  /// A batch of products: C is [batch, m, n], and A and B have three dimensions too, or two if all products share them.
  /// bf16 operands (cuda, with Math::bf16) give f32 or bf16. Other math than f32 is cuda's. k = 0 gives zeros (or the bias).
  /// Minimum bytes: A + B + C (+ bias, + C again when accumulating).
  virtual void matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c, const Epilogue& epilogue,
                      Math math) = 0;
  /// Bytes of the relu_mask that the product op(A) op(B) with relu can leave, at least 16-byte aligned. 0: this device masks
  /// by the product's result alone.
  virtual std::size_t relu_mask_bytes(const In& a, bool transpose_a, const In& b, bool transpose_b) = 0;
  /// Up to how many outputs the two products below are faster than gather_images() and matmul(), which do the same; 0: the
  /// device does not have them.
  virtual std::int64_t most_image_outputs() const = 0;
  /// Y [n, out] = X W^T with X [n, pixels] of ImageRows, w f32 [out, pixels]; the epilogue without accumulate. Pixels become
  /// floats in registers: no X is written. An index outside the images is an Error. Minimum bytes: pixels + W + Y (+ bias).
  virtual void matmul_images(const ImageRows& x, const In& w, const Out& y, const Epilogue& epilogue) = 0;
  /// dW [out, pixels] = dY^T X, dy f32 [n, out]: the gradient of matmul_images() for w.
  virtual void matmul_images_gradient(const In& dy, const ImageRows& x, const Out& dw) = 0;
  /// Backward of the bias and ReLU epilogue, one pass: dz = dy where y > 0 (y: the epilogue's output), dbias [n] = column
  /// sums of dz. dy, y, dz are [m, n]. Without ReLU y and dz are null and dbias sums dy; dbias may be null; dz may be dy.
  virtual void bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) = 0;

  // ---- convolution -------------------------------------------------------------------------------------------------
  // Cross-correlation: y[n, k, i, j] = sum of x[n, c, i stride + r - padding, j stride + s - padding] w[k, c, r, s] over the
  // channels c of k's group and r, s. x [n, c, h, w], w [k, c / groups, r, s], y [n, k, ., .]; f32, f64 (cpu) or bf16 (cuda,
  // with Math::bf16), all of one type, sums as in products. Other math than f32 is cuda's. n, c and k may be 0.
  // lanes16: x and y and their gradients, w stays row_major; 3 x 3 with padding 1 or 1 x 1 without, stride 1, one group.
  // Minimum bytes: the two inputs + the output.
  /// bias [k] is added to every image; null: none.
  virtual void conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y, Math math) = 0;
  /// The gradient of conv2d() for x, given y's.
  virtual void conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx, Math math) = 0;
  /// The gradients of conv2d() for w and for the bias, given y's; dbias [k] = sums of dy, null: not wanted. On cuda dbias
  /// reads dy once more.
  virtual void conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw,
                                      const Out& dbias, Math math) = 0;

  // ---- element-wise ------------------------------------------------------------------------------------------------
  virtual void unary(UnaryOp op, const In& x, const Out& y) = 0;
  /// a and b broadcast to y's shape by numpy's rules.
  virtual void binary(BinaryOp op, const In& a, const In& b, const Out& y) = 0;
  /// y = scale * x + shift.
  virtual void affine(const In& x, double scale, double shift, const Out& y) = 0;

  // ---- reductions --------------------------------------------------------------------------------------------------
  /// y has x's rank; every size is x's or 1, and the dimensions of size 1 are summed over. Empty sums are 0.
  virtual void reduce_sum(const In& x, const Out& y) = 0;
  /// y [rows] i32 = index of the largest element of each row of x [rows, n], n >= 1; the lowest index wins ties, NaN loses.
  virtual void argmax(const In& x, const Out& y) = 0;

  // ---- softmax and loss --------------------------------------------------------------------------------------------
  /// Over the last dimension, n >= 1.
  virtual void softmax(const In& x, const Out& y) = 0;
  /// dx = y * (dy - sum(dy * y)) per row.
  virtual void softmax_backward(const In& y, const In& dy, const Out& dx) = 0;
  /// Cross-entropy of softmax(logits) against integer labels and, on request, the gradient for the logits, in one pass.
  ///   logits  [rows, classes], classes >= 1, read once
  ///   labels  [rows] i32; kNoLabel leaves the row out (its gradient is 0, whatever its logits are); any other label outside
  ///           [0, classes) gives loss NaN and a gradient row of NaN
  ///   grad    [rows, classes] = (softmax - onehot) * scale, or null (evaluation); may be logits
  ///   loss    [] = scale * sum over rows of -log softmax(logits)[label]
  ///   hits    [] i32 = rows whose argmax (lowest index wins ties) is the label; may be null
  /// With rows = 0 loss and hits are 0. Minimum bytes: logits + labels + loss (+ grad).
  virtual void softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad, const Out& loss,
                                     const Out& hits) = 0;

  /// Attention's: x [.., t, t] (cuda: t up to 8,192); y[i, j] = softmax over j <= i of scale * x[i, j], and 0 for j > i,
  /// where x is not read.
  virtual void causal_softmax(const In& x, double scale, const Out& y) = 0;
  /// dx[i, j] = scale * y * (dy - sum over j <= i of dy * y), and 0 for j > i, where y and dy are not read.
  virtual void causal_softmax_backward(const In& y, const In& dy, double scale, const Out& dx) = 0;

  /// Whether this device has the two primitives below, for f32 and f64; where it has not, matmul() and causal_softmax() do
  /// the same.
  virtual bool has_causal_attention() const = 0;
  /// Causal self-attention of several heads, without a matrix of scores in memory (FlashAttention, Dao et al. 2022).
  ///   qkv       [sequences * t, 3 * heads * d]: the queries of all heads, their keys, their values
  ///   y         [sequences * t, heads * d] = softmax(q k^T / sqrt(d)) v over the positions up to the query's own
  ///   log_sums  [sequences, heads, t] = log of the sum of e^score of each query, for the backward; null in evaluation
  /// Minimum bytes: qkv + y (+ log_sums).
  virtual void causal_attention(const In& qkv, std::int64_t sequences, std::int64_t heads, const Out& y,
                                const Out& log_sums) = 0;
  /// The gradient of qkv. Nothing may alias.
  virtual void causal_attention_backward(const In& qkv, const In& y, const In& log_sums, const In& dy,
                                         std::int64_t sequences, std::int64_t heads, const Out& dqkv) = 0;

  // ---- dropout -----------------------------------------------------------------------------------------------------
  /// y = x / (1 - probability) where the element's random bits are >= probability * 2^32, else 0; probability in [0, 1).
  /// Its own backward: the same call on dy. y may be x. Minimum bytes: x + y.
  virtual void dropout(const In& x, double probability, const RandomPlace& place, const Out& y) = 0;

  // ---- top-1 expert routing (Fedus et al., Switch Transformers, JMLR 2022) ------------------------------------------
  /// logits [tokens, experts], experts 1..1024. With no tokens all statistics are 0. `balance` is the paper's Eq. 4 without
  /// alpha: 1 when both the choices and the probabilities are spread evenly.
  virtual void route_top1(const In& logits, const Routes& routes) = 0;
  /// dlogits from the gradients of gate and balance (either may be null); choices and counts have none.
  virtual void route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate,
                                   const In& dbalance, const Out& dlogits) = 0;
  /// y [experts, capacity, d] = x[slots], x [tokens, d]; 0 in empty slots.
  virtual void route_dispatch(const In& x, const In& slots, const Out& y) = 0;
  /// dx [tokens, d] = dy[expert, position]; 0 for tokens beyond the capacity.
  virtual void route_dispatch_backward(const In& dy, const In& expert, const In& position, const Out& dx) = 0;
  /// y [tokens, d] = gate * x[expert, position], x [experts, capacity, d]; 0 for tokens beyond the capacity.
  virtual void route_combine(const In& x, const In& expert, const In& position, const In& gate, const Out& y) = 0;
  /// dx = gate * dy in the token's slot, 0 in empty slots; dgate [tokens] = sum of x * dy. One pass.
  virtual void route_combine_backward(const In& x, const In& slots, const In& expert, const In& position, const In& gate,
                                      const In& dy, const Out& dx, const Out& dgate) = 0;

  // ---- mixtures ----------------------------------------------------------------------------------------------------
  /// y [rows, n] = sum over k of gates[:, k] * experts[k]; gates [rows, k], experts k times [rows, n]. k in 1..16.
  virtual void mix(const In& gates, std::span<const In> experts, const Out& y) = 0;
  /// dexperts[k] = gates[:, k] * dy, dgates[:, k] = row sums of experts[k] * dy, in one pass. Nothing may alias.
  virtual void mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                            std::span<const Out> dexperts) = 0;

  // ---- normalisation -----------------------------------------------------------------------------------------------
  // lanes16: x, y, dy and dx of batch normalisation.
  /// y = (x - mean) * rstd * gamma + beta per row of x [rows, n], n >= 1; gamma, beta [n]; mean and rstd =
  /// 1 / sqrt(variance + epsilon), both [rows], for the backward: both null in evaluation. The variance is the biased one,
  /// about the mean. (Ba et al. 2016; PyTorch's LayerNorm.) Minimum bytes: x + gamma + beta + y (+ mean + rstd); rows longer
  /// than 8,192 are read twice.
  virtual void layer_norm(const In& x, const In& gamma, const In& beta, double epsilon, const Out& y, const Out& mean,
                          const Out& rstd) = 0;
  /// With g = dy * gamma and xh = (x - mean) * rstd: dx = rstd * (g - mean(g) - xh * mean(g * xh)) per row; dgamma [n] = sum
  /// over the rows of dy * xh, dbeta [n] = that of dy. Minimum bytes: x + dy + dx + the small ones; rows longer than 8,192
  /// are read twice, and blocks of rows leave partial sums of dgamma and dbeta.
  virtual void layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy, const Out& dx,
                                   const Out& dgamma, const Out& dbeta) = 0;
  /// Training: y = (x - mean) * rstd * gamma + beta with the statistics of each channel of x [n, c, h, w] or [n, c]; all
  /// others are [c]. mean and rstd = 1 / sqrt(biased variance + epsilon) are for the backward; running_mean and running_var
  /// are updated in place, the variance by the unbiased one; both may be null. n * h * w = 1 has no unbiased variance and is
  /// an Error, as in PyTorch; with n * h * w = 0 nothing is written. (Ioffe & Szegedy 2015.) Minimum bytes: x + y + the
  /// small ones; x is read twice where a channel has more elements than a block holds.
  virtual void batch_norm(const In& x, const In& gamma, const In& beta, const BatchNormRule& rule, const Out& running_mean,
                          const Out& running_var, const Out& y, const Out& mean, const Out& rstd) = 0;
  /// Evaluation: y = (x - running_mean) / sqrt(running_var + epsilon) * gamma + beta, with ReLU where asked. Any n >= 0.
  /// Minimum bytes: x + y + the small ones.
  virtual void batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean,
                                    const In& running_var, double epsilon, bool relu, const Out& y) = 0;
  /// Backward of the training mode. beta is given if the forward had ReLU, and null if not: where the output was 0 the
  /// gradient is, and computing the output's sign again costs less than reading it. With xh = (x - mean) * rstd and N = n *
  /// h * w: dbeta = sum of dy, dgamma = sum of dy * xh, dx = gamma * rstd * (dy - dbeta / N - xh * dgamma / N). dx may
  /// be dy. Minimum bytes: x + dy + dx + the small ones; x and dy are read twice where a channel has more elements than a
  /// block holds.
  virtual void batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd,
                                   const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) = 0;

  // ---- pooling -----------------------------------------------------------------------------------------------------
  // lanes16: all images of max_pool() and its backward, place too, whose halo is neither written nor read; x alone of
  // adaptive_average_pool() and dx alone of its backward, which lead out of lanes16.
  /// y [n, c, oh, ow] = largest element of each window of x [n, c, h, w]; place u8 [n, c, oh, ow] = where in its window it
  /// was, row by row, for the backward; null in evaluation. The first of equals wins, NaN wins over numbers, the last NaN
  /// over others: PyTorch's rules. height * width of the window in 1..256 and no larger than x, stride >= 1.
  /// Minimum bytes: x + y (+ place).
  virtual void max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) = 0;
  /// dx [n, c, h, w]: each dy goes to the element that won; an element that won several windows gets their sum, in the order
  /// of the windows. Minimum bytes: dy + place + dx.
  virtual void max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) = 0;
  /// y [n, c, oh, ow] = means over windows of x [n, c, h, w], h, w >= 1: output i of oh covers the rows floor(i h / oh) to
  /// ceil((i + 1) h / oh), columns likewise (PyTorch's AdaptiveAvgPool2d). Minimum bytes: x + y.
  virtual void adaptive_average_pool(const In& x, const Out& y) = 0;
  /// dx = sum over the windows that cover an element of dy / the size of the window. Minimum bytes: dy + dx.
  virtual void adaptive_average_pool_backward(const In& dy, const Out& dx) = 0;

  // ---- gather ------------------------------------------------------------------------------------------------------
  /// Mini-batch: x[i] = images[indices[i]] normalised, y[i] = labels[indices[i]].
  ///   images [count, channels, height, width] u8 (at most PixelScale::max_channels); labels [count] i32; indices [n] i32
  ///   x [n, channels, height, width], in lanes16 too, or [n, channels * height * width]; y [n] i32
  /// Indices are checked when they are made; one outside [0, count) gives a row of NaN and label -1. With an augmentation
  /// (pad in 0..1024) each x[i] is a random cut of its padded image, mirrored or not. The same bits on every device.
  virtual void gather_images(const In& images, const In& labels, const In& indices, const PixelScale& pixels, const Out& x,
                             const Out& y, const ImageAugmentation& augmentation) = 0;
  /// y[i] = table[indices[i]]: table [r, n] f32 | f64 | i32, indices [m] i32, y [m, n]. An index out of range gives NaN
  /// (i32: -1).
  virtual void gather_rows(const In& table, const In& indices, const Out& y) = 0;
  /// table[indices[i]] += dy[i], added in the order of i; indices out of range are left out.
  virtual void scatter_add_rows(const In& dy, const In& indices, const Out& table) = 0;

  /// norm [] = sqrt of the sum of squares of all gradients, which share one dtype; 0 for none.
  virtual void gradient_norm(std::span<const In> gradients, const Out& norm) = 0;

  // ---- optimizers --------------------------------------------------------------------------------------------------
  /// One update of all tensors of a model, which share one dtype, by any rule; `state` is in device memory. No slots:
  /// nothing happens. Minimum bytes: weights + gradients + weights again + twice the rule's states.
  virtual void optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) = 0;

 private:
  friend class Observed;
  Observer* observer_ = nullptr;
};

}  // namespace alma
