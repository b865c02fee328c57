#pragma once
#include <span>

#include "kernels/backend_library.h"
#include "kernels/cpu/workspace.h"

namespace alma {

/// Backend on the processor: f32 and f64. This library is built once per instruction-set level from the same sources.
/// Nothing is queued: every call has done its work on return.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options) : pool_(options.pool), why_(options.why) {}

  BackendInfo info() const override;

  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory) noexcept override;
  void upload(const void* host, void* device, std::size_t bytes) override;
  void download(const void* device, void* host, std::size_t bytes) override;
  void copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch, std::size_t width,
            std::size_t rows) override;
  void fill(Out y, double value) override;
  void synchronize() override;
  Layout image_layout() const override { return Layout::lanes16; }
  void convert_layout(const In& x, const Out& y) override;
  void cast(const In& x, const Out& y) override;

  void matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c, const Epilogue& epilogue,
              Math math) override;
  std::size_t relu_mask_bytes(const In&, bool, const In&, bool) override { return 0; }
  std::int64_t most_image_outputs() const override;
  void matmul_images(const ImageRows& x, const In& w, const Out& y, const Epilogue& epilogue) override;
  void matmul_images_gradient(const In& dy, const ImageRows& x, const Out& dw) override;
  void bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) override;

  void conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y, Math math) override;
  void conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx, Math math) override;
  void conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw, const Out& dbias,
                              Math math) override;

  void unary(UnaryOp op, const In& x, const Out& y) override;
  void binary(BinaryOp op, const In& a, const In& b, const Out& y) override;
  void affine(const In& x, double scale, double shift, const Out& y) override;

  void reduce_sum(const In& x, const Out& y) override;
  void argmax(const In& x, const Out& y) override;

  void softmax(const In& x, const Out& y) override;
  void softmax_backward(const In& y, const In& dy, const Out& dx) override;
  void softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad, const Out& loss,
                             const Out& hits) override;

  void causal_softmax(const In& x, double scale, const Out& y) override;
  void causal_softmax_backward(const In& y, const In& dy, double scale, const Out& dx) override;
  bool has_causal_attention() const override { return true; }
  void causal_attention(const In& qkv, std::int64_t sequences, std::int64_t heads, const Out& y,
                        const Out& log_sums) override;
  void causal_attention_backward(const In& qkv, const In& y, const In& log_sums, const In& dy, std::int64_t sequences,
                                 std::int64_t heads, const Out& dqkv) override;

  void dropout(const In& x, double probability, const RandomPlace& place, const Out& y) override;

  void route_top1(const In& logits, const Routes& routes) override;
  void route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate, const In& dbalance,
                           const Out& dlogits) override;
  void route_dispatch(const In& x, const In& slots, const Out& y) override;
  void route_dispatch_backward(const In& dy, const In& expert, const In& position, const Out& dx) override;
  void route_combine(const In& x, const In& expert, const In& position, const In& gate, const Out& y) override;
  void route_combine_backward(const In& x, const In& slots, const In& expert, const In& position, const In& gate,
                              const In& dy, const Out& dx, const Out& dgate) override;

  void mix(const In& gates, std::span<const In> experts, const Out& y) override;
  void mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                    std::span<const Out> dexperts) override;

  void layer_norm(const In& x, const In& gamma, const In& beta, double epsilon, const Out& y, const Out& mean,
                  const Out& rstd) override;
  void layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy, const Out& dx,
                           const Out& dgamma, const Out& dbeta) override;
  void batch_norm(const In& x, const In& gamma, const In& beta, const BatchNormRule& rule, const Out& running_mean,
                  const Out& running_var, const Out& y, const Out& mean, const Out& rstd) override;
  void batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean, const In& running_var,
                            double epsilon, bool relu, const Out& y) override;
  void batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd, const In& dy,
                           const Out& dx, const Out& dgamma, const Out& dbeta) override;

  void max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) override;
  void max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) override;
  void adaptive_average_pool(const In& x, const Out& y) override;
  void adaptive_average_pool_backward(const In& dy, const Out& dx) override;

  void gather_images(const In& images, const In& labels, const In& indices, const PixelScale& pixels, const Out& x,
                     const Out& y, const ImageAugmentation& augmentation) override;
  void gather_rows(const In& table, const In& indices, const Out& y) override;
  void scatter_add_rows(const In& dy, const In& indices, const Out& table) override;

  void gradient_norm(std::span<const In> gradients, const Out& norm) override;

  void optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) override;

 private:
  ThreadPool* pool_;
  std::string why_;
  Workspace workspace_;
};

}  // namespace alma
