#pragma once
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "kernels/backend.h"

namespace alma {

enum class ConvKind { forward, data_gradient, weight_gradient };

struct ConvCall {
  ConvKind kind = ConvKind::forward;
  DType dtype = DType::f32;  // f32 | bf16
  Math math = Math::f32;
  std::array<std::int64_t, 4> x{}, w{}, y{};  // sizes, >= 1
  ConvGeometry geometry;
  void* x_data = nullptr;  // written by data_gradient
  void* w_data = nullptr;  // written by weight_gradient
  void* y_data = nullptr;  // written by forward
};

/// Convolutions by cuDNN's graph API. Plans are kept by shape; the engine is the first acceptable one that the library's
/// heuristic names, never one that was timed: deterministic, with f32 sums, and for Math::f32 without tensor cores and
/// without narrowed inputs.
class Conv {
 public:
  explicit Conv(cudaStream_t stream);
  ~Conv();
  Conv(const Conv&) = delete;
  Conv& operator=(const Conv&) = delete;

  /// Bytes of workspace that run() needs.
  std::size_t workspace_bytes(const ConvCall& call);
  void run(const ConvCall& call, void* workspace);

 private:
  /// Everything that the choice of the engine depends on.
  struct Key {
    ConvKind kind;
    DType dtype;
    Math math;
    std::array<std::int64_t, 4> x, w, y;
    std::array<std::int64_t, 4> strides_and_paddings;
    std::array<std::int64_t, 3> alignments;
    auto operator<=>(const Key&) const = default;
  };
  struct Plan;

  static Key key_of(const ConvCall& call);
  Plan& plan_for(const ConvCall& call);
  std::unique_ptr<Plan> make_plan(const Key& key) const;

  cudnnHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace alma
