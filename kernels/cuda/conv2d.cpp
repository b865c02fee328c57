// The primitives of convolution, where the build has cuDNN.
#include "kernels/checks/conv.h"
#include "kernels/cuda/conv.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/grid.h"

namespace alma {
namespace {

std::array<std::int64_t, 4> sizes_of(const Shape& shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

void* memory_of(const In& x) { return const_cast<void*>(x.data); }

ConvCall call_of(ConvKind kind, const In& x, const In& w, const In& y, const ConvGeometry& geometry, Math math) {
  return {kind,     x.dtype,      math,         sizes_of(x.shape), sizes_of(w.shape), sizes_of(y.shape),
          geometry, memory_of(x), memory_of(w), memory_of(y)};
}

void require_type(const char* op, const In& x) {
  require_row_major(op, x);
  if (x.dtype != DType::f32 && x.dtype != DType::bf16) fail("[", op, "] cuda convolves f32 and bf16, got ", x.dtype);
}

}  // namespace

std::string cudnn_version() {
  const std::size_t version = cudnnGetVersion();
  return ", cuDNN " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

// Out is zero where there is nothing to add up.
void CudaBackend::convolve(const ConvCall& call, const Out& out) {
  if (out.shape.count() == 0) return;
  for (const auto& sizes : {call.x, call.w, call.y})
    for (const std::int64_t size : sizes)
      if (size == 0) return fill(out, 0);
  if (!conv_) conv_ = std::make_shared<Conv>(stream_);
  const auto bytes = static_cast<std::int64_t>(conv_->workspace_bytes(call));
  conv_->run(call, bytes == 0 ? nullptr : scratch(blocks_for(bytes, sizeof(float))));
}

void CudaBackend::conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y, Math math) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::conv2d(*this, x, w, bias, geometry, y, math);
  require_type("conv2d", x);
  if (bias) require_f32("conv2d", bias);
  convolve(call_of(ConvKind::forward, x, w, y, geometry, math), y);
  if (bias) binary(BinaryOp::add, y, {bias.data, bias.dtype, {1, bias.shape[0], 1, 1}}, y);
}

void CudaBackend::conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx, Math math) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::conv2d_data_gradient(*this, dy, w, geometry, dx, math);
  require_type("conv2d_data_gradient", dx);
  convolve(call_of(ConvKind::data_gradient, dx, w, dy, geometry, math), dx);
}

void CudaBackend::conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw,
                                         const Out& dbias, Math math) {
  const Entry entry(gpu_, __func__);
  const char* op = "conv2d_weight_gradient";
  const Observed seen = check::conv2d_weight_gradient(*this, x, dy, geometry, dw, dbias, math);
  require_type(op, x);
  if (dbias) require_f32(op, dbias);
  convolve(call_of(ConvKind::weight_gradient, x, dw, dy, geometry, math), dw);
  if (dbias) reduce_sum(dy, {dbias.data, dbias.dtype, {1, dbias.shape[0], 1, 1}});
}

}  // namespace alma
