#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/cuda/entry.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/staging.h"

namespace alma {

class Conv;
struct ConvCall;

/// The primitives on an NVIDIA GPU, one file per family, each an Entry of its name; the simulator runs the same
/// sources. One stream for everything, so that work runs in the order in which it was queued.
class CudaBackend final : public Backend {
 public:
  /// On GPU number `gpu`, which use_gpu() has made usable; info() calls it `device`.
  CudaBackend(std::string device, int gpu);
  ~CudaBackend() override;
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  cudaStream_t stream() const { return stream_; }
  BackendInfo info() const override;

  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory) noexcept override;
  void upload(const void* host, void* device, std::size_t bytes) override;
  void download(const void* device, void* host, std::size_t bytes) override;
  void copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch, std::size_t width,
            std::size_t rows) override;
  void fill(Out y, double value) override;
  void synchronize() override;
  void* native_stream() const override { return stream_; }
  void begin_range(const char* name) override;
  void end_range() noexcept override;
  bool has_graphs() const override { return !is_observed(); }
  std::unique_ptr<Graph> capture(const std::function<void()>& work) override;
  void cast(const In& x, const Out& y) override;

  void matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c, const Epilogue& epilogue,
              Math math) override;
  std::size_t relu_mask_bytes(const In& a, bool transpose_a, const In& b, bool transpose_b) override;
  std::int64_t most_image_outputs() const override { return 0; }
  void matmul_images(const ImageRows&, const In&, const Out&, const Epilogue&) override { refuse_images("matmul_images"); }
  void matmul_images_gradient(const In&, const ImageRows&, const Out&) override { refuse_images("matmul_images_gradient"); }
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
  bool has_causal_attention() const override { return false; }
  void causal_attention(const In&, std::int64_t, std::int64_t, const Out&, const Out&) override {
    refuse_attention("causal_attention");
  }
  void causal_attention_backward(const In&, const In&, const In&, const In&, std::int64_t, std::int64_t,
                                 const Out&) override {
    refuse_attention("causal_attention_backward");
  }

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
  [[noreturn]] static void refuse_images(const char* op) {
    fail("[", op, "] cuda multiplies stored matrices alone: gather_images() first");
  }
  [[noreturn]] static void refuse_attention(const char* op) {
    fail("[", op, "] cuda attends by matmul() and causal_softmax()");
  }
  void refuse_in_capture(const char* op) const {
    if (capturing_) fail("[", op, "] cannot be part of a graph");
  }
  /// Memory for partial results of one primitive; the next primitive may use it again, as the stream keeps their order.
  float* scratch(std::int64_t floats);
  /// Blocks for `threads` threads of which each may do several items: no more than the GPU holds at once.
  std::int64_t grid_for(std::int64_t threads, int block) const;
  void convolve(const ConvCall& call, const Out& out);
  void empty_product(const Out& c, const Epilogue& epilogue);
  template <class F>
  void map(F f, const In& x, const Out& y);
  template <class F>
  void combine(F f, const In& a, const In& b, const Out& y);

  std::string device_;
  int gpu_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<Gemm> gemm_;
  std::shared_ptr<Conv> conv_;     // made on first use; shared, because a build without cuDNN knows no more than the name
  std::shared_ptr<void> scratch_;  // shared with the graphs that were captured with it
  std::int64_t scratch_floats_ = 0;
  bool capturing_ = false;
};

/// ", cuDNN 9.10.2", or "" in a build without.
std::string cudnn_version();

/// The layout of cuda's images; another throws Error "[max_pool] cuda computes in row_major, got lanes16".
void require_row_major(const char* op, const In& x);

/// The dtype that cuda computes in, in that layout; another throws Error "[matmul] cuda computes in f32, got f64".
void require_f32(const char* op, const In& x);

inline bool aligned16(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0; }

}  // namespace alma
