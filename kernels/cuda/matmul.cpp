#include "kernels/checks/matmul.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"

namespace alma {
namespace {

void require_operands(const In& x) {
  if (x.dtype != DType::f32 && x.dtype != DType::bf16) fail("[matmul] cuda multiplies f32 and bf16, got ", x.dtype);
}

Gemm::Call call_of(const check::MatmulSizes& sizes, const In& a, bool transpose_a, const In& b, bool transpose_b) {
  Gemm::Call call;
  call.batch = sizes.batch;
  call.m = sizes.m;
  call.n = sizes.n;
  call.k = sizes.k;
  call.transpose_a = transpose_a;
  call.transpose_b = transpose_b;
  call.operands = a.dtype;
  call.a = a.data;
  call.b = b.data;
  call.one_a = a.shape.rank() == 2;
  call.one_b = b.shape.rank() == 2;
  return call;
}

}  // namespace

// k = 0: the bias in every row.
void CudaBackend::empty_product(const Out& c, const Epilogue& epilogue) {
  fill(c, 0);
  if (!epilogue.bias) return;
  Out sum = c;
  In bias = epilogue.bias;
  if (c.dtype == DType::bf16) {  // added in f32
    float* memory = scratch(c.shape.count() + bias.shape.count());
    sum = {memory, DType::f32, c.shape};
    const Out wide{memory + c.shape.count(), DType::f32, bias.shape};
    cast(bias, wide);
    bias = wide;
    fill(sum, 0);
  }
  if (bias.shape.rank() == 2) bias.shape = {bias.shape[0], 1, bias.shape[1]};
  binary(BinaryOp::add, sum, bias, sum);
  if (epilogue.relu) unary(UnaryOp::relu, sum, sum);
  if (c.dtype == DType::bf16) cast(sum, c);
}

void CudaBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                         const Epilogue& epilogue, Math math) {
  const Entry entry(gpu_, __func__);
  const auto seen = check::matmul(*this, a, transpose_a, b, transpose_b, c, epilogue, math);
  const check::MatmulSizes& sizes = seen.sizes;
  require_operands(a);
  if (sizes.batch > 0 && sizes.m > 0 && sizes.n > 0 && sizes.k > 0) {
    Gemm::Call call = call_of(sizes, a, transpose_a, b, transpose_b);
    call.result = c.dtype;
    call.math = math;
    call.c = c.data;
    call.bias = epilogue.bias.data;
    call.one_bias = epilogue.bias.shape.rank() != 2;
    call.relu = epilogue.relu;
    call.accumulate = epilogue.accumulate;
    Gemm::Call fused = call;
    fused.masked = static_cast<bool>(epilogue.mask);
    fused.mask = fused.masked ? const_cast<void*>(epilogue.mask.data) : epilogue.relu_mask.data;
    fused.column_sums = fused.masked ? epilogue.column_sums.data : nullptr;
    fused.sums_of_a = epilogue.sums_of_a.data;
    if ((!epilogue.masked_by || fused.masked) && gemm_->run(fused)) return;
    if (epilogue.relu_mask) fail("[matmul] cuBLASLt leaves no relu_mask here, as relu_mask_bytes() says");
    gemm_->run(call);
  } else {
    if (epilogue.relu_mask) fail("[matmul] an empty product leaves no relu_mask, as relu_mask_bytes() says");
    if (!epilogue.accumulate) empty_product(c, epilogue);
  }
  if (epilogue.masked_by || epilogue.column_sums)
    bias_relu_backward(c, epilogue.masked_by, epilogue.masked_by ? c : Out{}, epilogue.column_sums);
  if (epilogue.sums_of_a) bias_relu_backward(a, {}, {}, epilogue.sums_of_a);
}

std::size_t CudaBackend::relu_mask_bytes(const In& a, bool transpose_a, const In& b, bool transpose_b) {
  ALMA_CHECKED(make_current(gpu_));
  const check::MatmulSizes sizes = check::factors(a, transpose_a, b, transpose_b);
  if (a.dtype != DType::f32 || a.shape.rank() == 3 || b.shape.rank() == 3) return 0;
  if (sizes.m == 0 || sizes.n == 0 || sizes.k == 0) return 0;
  Gemm::Call call = call_of(sizes, a, transpose_a, b, transpose_b);
  call.relu = true;
  // C, bias and mask are not known yet; they will be aligned as allocate() does it.
  void* const aligned = reinterpret_cast<void*>(std::uintptr_t{256});
  call.mask = aligned;
  Gemm::Call with_bias = call;
  with_bias.bias = aligned;
  return gemm_->knows(call) && gemm_->knows(with_bias) ? Gemm::mask_bytes(sizes.m, sizes.n) : 0;
}

}  // namespace alma
