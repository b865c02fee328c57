// The primitive as kernels: by nvcc for cuda, and as plain C++ for the simulator, cuda-sim. launch.h is where the two part:
// a kernel reads by load, writes by store and starts by launch, and then the simulator can check each access:
//   ALMA_SIM_CHECK=memcheck,racecheck,streams build/gelu cuda-sim
// Work is queued on the backend's stream, so it runs between the primitives before and after it, and is part of a captured
// graph too.
#include "kernels/cuda/launch.h"

#include "gelu_primitive.h"

using namespace alma;

namespace {

constexpr int kBlock = 256;

__device__ std::int64_t global_thread() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ float distribution(float x) { return 0.5f * erfcf(-0.70710678f * x); }
__device__ float density(float x) { return 0.39894228f * expf(-0.5f * x * x); }

// Bound by memory: one element for each thread, neighbours side by side.
__global__ void gelu_kernel(const float* x, float* y, std::int64_t n) {
  const std::int64_t i = global_thread();
  if (i >= n) return;
  const float v = load<float>(x + i);
  store<float>(y + i, v * distribution(v));
}

__global__ void gelu_backward_kernel(const float* x, const float* dy, float* dx, std::int64_t n) {
  const std::int64_t i = global_thread();
  if (i >= n) return;
  const float v = load<float>(x + i);
  store<float>(dx + i, load<float>(dy + i) * (distribution(v) + v * density(v)));
}

class CudaGelu final : public GeluPrimitive {
 public:
  explicit CudaGelu(cudaStream_t stream) : stream_(stream) {}

  void gelu(const In& x, const Out& y) override {
    const std::int64_t n = count("gelu", x);
    if (n > 0) launch(gelu_kernel, blocks_for(n, kBlock), kBlock, 0, stream_, x.as<float>(), y.as<float>(), n);
  }

  void gelu_backward(const In& x, const In& dy, const Out& dx) override {
    const std::int64_t n = count("gelu_backward", x);
    if (n > 0)
      launch(gelu_backward_kernel, blocks_for(n, kBlock), kBlock, 0, stream_, x.as<float>(), dy.as<float>(), dx.as<float>(),
             n);
  }

 private:
  static std::int64_t count(const char* name, const In& x) {
    if (x.dtype != DType::f32) fail("[", name, "] cuda computes in f32, got ", x.dtype);
    return x.shape.count();
  }
  cudaStream_t stream_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) GeluPrimitive* make_gelu(void* stream) {
  return new CudaGelu(static_cast<cudaStream_t>(stream));
}
