// Element-wise primitives: bound by memory, so each thread moves 16 bytes at a time where the addresses allow it.
#include "kernels/cuda/launch.h"

#include <utility>

#include "kernels/checks/elementwise.h"
#include "kernels/checks/memory.h"
#include "kernels/cuda/cuda_backend.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

struct Relu {
  __device__ float operator()(float x) const { return x < 0 ? 0 : x; }  // NaN stays NaN
};
// As kernels/cpu/gelu.h.
constexpr float kGeluSlope = 0.79788456f, kGeluCube = 0.044715f;
__device__ float gelu_share(float x) { return 1 / (1 + expf(-2 * kGeluSlope * (x + kGeluCube * x * x * x))); }
struct Gelu {
  __device__ float operator()(float x) const { return x * gelu_share(x); }
};
struct Exp {
  __device__ float operator()(float x) const { return expf(x); }
};
struct Log {
  __device__ float operator()(float x) const { return logf(x); }
};
struct Sqrt {
  __device__ float operator()(float x) const { return sqrtf(x); }
};
struct Affine {
  float scale, shift;
  __device__ float operator()(float x) const { return fmaf(scale, x, shift); }
};

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Subtract {
  __device__ float operator()(float a, float b) const { return a - b; }
};
struct Multiply {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct Divide {
  __device__ float operator()(float a, float b) const { return a / b; }
};
struct ReluGradient {
  __device__ float operator()(float a, float b) const { return b > 0 ? a : 0; }
};
struct GeluGradient {
  __device__ float operator()(float a, float b) const {
    const float s = gelu_share(b);
    float inner = b < -16 ? -16 : b;  // in this order NaN passes
    inner = inner > 16 ? 16 : inner;
    return a * (s + inner * s * (1 - s) * 2 * kGeluSlope * (1 + 3 * kGeluCube * inner * inner));
  }
};

__device__ std::int64_t global_thread() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ std::int64_t all_threads() { return std::int64_t{gridDim.x} * blockDim.x; }

// The first `quads` groups of four by 16-byte accesses, what is left one by one.
template <class F>
__global__ void __launch_bounds__(kBlock) map_kernel(const float* x, float* y, std::int64_t n, std::int64_t quads, F f) {
  for (std::int64_t i = global_thread(); i < quads; i += all_threads()) {
    const float4 v = load<float4>(x + 4 * i);
    store<float4>(y + 4 * i, make_float4(f(v.x), f(v.y), f(v.z), f(v.w)));
  }
  for (std::int64_t i = 4 * quads + global_thread(); i < n; i += all_threads()) store<float>(y + i, f(load<float>(x + i)));
}

// An operand of y's shape, or one element for all.
struct Flat {
  const float* data;
  bool single;
  __device__ float at(std::int64_t i) const { return load<float>(single ? data : data + i); }
  __device__ float4 quad(std::int64_t i) const {
    if (!single) return load<float4>(data + 4 * i);
    const float value = load<float>(data);
    return make_float4(value, value, value, value);
  }
};

template <class F>
__global__ void __launch_bounds__(kBlock) combine_kernel(Flat a, Flat b, float* y, std::int64_t n, std::int64_t quads, F f) {
  for (std::int64_t i = global_thread(); i < quads; i += all_threads()) {
    const float4 u = a.quad(i), v = b.quad(i);
    store<float4>(y + 4 * i, make_float4(f(u.x, v.x), f(u.y, v.y), f(u.z, v.z), f(u.w, v.w)));
  }
  for (std::int64_t i = 4 * quads + global_thread(); i < n; i += all_threads()) store<float>(y + i, f(a.at(i), b.at(i)));
}

// y's dimensions, neighbours merged where a and b go on in the same way; a stride of 0 repeats the operand.
struct Broadcast {
  int rank = 0;
  std::int64_t size[Shape::max_rank] = {};
  std::int64_t a_stride[Shape::max_rank] = {};
  std::int64_t b_stride[Shape::max_rank] = {};
};

// Index is 32 bits wide where that is enough: 64-bit divisions take several times as long.
template <class Index, class F>
__global__ void __launch_bounds__(kBlock) broadcast_kernel(const float* a, const float* b, float* y, std::int64_t n,
                                                           const __grid_constant__ Broadcast shape, F f) {
  for (std::int64_t i = global_thread(); i < n; i += all_threads()) {
    Index rest = static_cast<Index>(i), a_offset = 0, b_offset = 0;
    for (int d = shape.rank - 1; d >= 0; --d) {
      const Index size = static_cast<Index>(shape.size[d]), quotient = rest / size, index = rest - quotient * size;
      a_offset += index * static_cast<Index>(shape.a_stride[d]);
      b_offset += index * static_cast<Index>(shape.b_stride[d]);
      rest = quotient;
    }
    store<float>(y + i, f(load<float>(a + a_offset), load<float>(b + b_offset)));
  }
}

// Size of dimension d of y (outermost 0) in a shape that broadcasts to it.
std::int64_t aligned_size(const Shape& shape, int d, int rank) {
  const int own = d - (rank - shape.rank());
  return own < 0 ? 1 : shape[own];
}

Broadcast merge_dimensions(const Shape& a, const Shape& b, const Shape& y) {
  Broadcast merged;
  std::int64_t a_count = 1, b_count = 1;  // elements inside of dimension d
  bool repeats_a = false, repeats_b = false;
  for (int d = y.rank() - 1; d >= 0; --d) {  // innermost first; turned round below
    const std::int64_t size = y[d], a_size = aligned_size(a, d, y.rank()), b_size = aligned_size(b, d, y.rank());
    if (size == 1) continue;
    const int last = merged.rank - 1;
    if (merged.rank > 0 && repeats_a == (a_size == 1) && repeats_b == (b_size == 1)) {
      merged.size[last] *= size;
    } else {
      repeats_a = a_size == 1;
      repeats_b = b_size == 1;
      merged.size[merged.rank] = size;
      merged.a_stride[merged.rank] = repeats_a ? 0 : a_count;
      merged.b_stride[merged.rank] = repeats_b ? 0 : b_count;
      ++merged.rank;
    }
    a_count *= a_size;
    b_count *= b_size;
  }
  for (int i = 0, j = merged.rank - 1; i < j; ++i, --j) {
    std::swap(merged.size[i], merged.size[j]);
    std::swap(merged.a_stride[i], merged.a_stride[j]);
    std::swap(merged.b_stride[i], merged.b_stride[j]);
  }
  return merged;
}

template <class T>
__global__ void __launch_bounds__(kBlock) fill_kernel(T* y, std::int64_t n, T value) {
  for (std::int64_t i = global_thread(); i < n; i += all_threads()) store<T>(y + i, value);
}

}  // namespace

template <class F>
void CudaBackend::map(F f, const In& x, const Out& y) {
  const std::int64_t n = y.shape.count();
  if (n == 0) return;
  const std::int64_t quads = aligned16(x.data) && aligned16(y.data) ? n / 4 : 0;
  launch(map_kernel<F>, grid_for(quads > 0 ? quads : n, kBlock), kBlock, 0, stream_, x.as<float>(), y.as<float>(), n, quads,
         f);
}

template <class F>
void CudaBackend::combine(F f, const In& a, const In& b, const Out& y) {
  const std::int64_t n = y.shape.count();
  if (n == 0) return;
  const Broadcast shape = merge_dimensions(a.shape, b.shape, y.shape);
  if (shape.rank <= 1) {
    const Flat flat_a{a.as<float>(), a.shape.count() == 1}, flat_b{b.as<float>(), b.shape.count() == 1};
    const bool vectors = (flat_a.single || aligned16(a.data)) && (flat_b.single || aligned16(b.data)) && aligned16(y.data);
    const std::int64_t quads = vectors ? n / 4 : 0;
    launch(combine_kernel<F>, grid_for(quads > 0 ? quads : n, kBlock), kBlock, 0, stream_, flat_a, flat_b, y.as<float>(), n,
           quads, f);
  } else {
    const auto kernel = n < (std::int64_t{1} << 31) ? broadcast_kernel<std::uint32_t, F> : broadcast_kernel<std::int64_t, F>;
    launch(kernel, grid_for(n, kBlock), kBlock, 0, stream_, a.as<float>(), b.as<float>(), y.as<float>(), n, shape, f);
  }
}

void CudaBackend::unary(UnaryOp op, const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::unary(*this, op, x, y);
  require_f32("unary", x);
  switch (op) {
    case UnaryOp::relu: return map(Relu{}, x, y);
    case UnaryOp::gelu: return map(Gelu{}, x, y);
    case UnaryOp::exp: return map(Exp{}, x, y);
    case UnaryOp::log: return map(Log{}, x, y);
    case UnaryOp::sqrt: return map(Sqrt{}, x, y);
  }
}

void CudaBackend::binary(BinaryOp op, const In& a, const In& b, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::binary(*this, op, a, b, y);
  require_f32("binary", y);
  switch (op) {
    case BinaryOp::add: return combine(Add{}, a, b, y);
    case BinaryOp::subtract: return combine(Subtract{}, a, b, y);
    case BinaryOp::multiply: return combine(Multiply{}, a, b, y);
    case BinaryOp::divide: return combine(Divide{}, a, b, y);
    case BinaryOp::relu_gradient: return combine(ReluGradient{}, a, b, y);
    case BinaryOp::gelu_gradient: return combine(GeluGradient{}, a, b, y);
  }
}

void CudaBackend::affine(const In& x, double scale, double shift, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::affine(*this, x, y);
  require_f32("affine", x);
  map(Affine{static_cast<float>(scale), static_cast<float>(shift)}, x, y);
}

void CudaBackend::fill(Out y, double value) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::fill(*this, y);
  const std::int64_t n = y.shape.count();
  if (n == 0) return;
  const std::int64_t grid = grid_for(n, kBlock);
  switch (y.dtype) {
    case DType::f32:
      return launch(fill_kernel<float>, grid, kBlock, 0, stream_, y.as<float>(), n, static_cast<float>(value));
    case DType::i32:
      return launch(fill_kernel<std::int32_t>, grid, kBlock, 0, stream_, y.as<std::int32_t>(), n,
                    static_cast<std::int32_t>(value));
    case DType::u8:
      return launch(fill_kernel<std::uint8_t>, grid, kBlock, 0, stream_, y.as<std::uint8_t>(), n,
                    static_cast<std::uint8_t>(value));
    case DType::bf16:
      return launch(fill_kernel<std::uint16_t>, grid, kBlock, 0, stream_, y.as<std::uint16_t>(), n,
                    Bf16(static_cast<float>(value)).bits);
    case DType::f64: fail("[fill] cuda fills f32, bf16, i32 and u8, got f64");
  }
}

}  // namespace alma
