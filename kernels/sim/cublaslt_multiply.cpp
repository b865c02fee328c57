// The arithmetic of the simulated cuBLASLt: operands rounded to what tf32 and bf16 take in, f32 sums, epilogues.
#include <memory>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/sim/cublaslt.h"
#include "kernels/sim/vendor.h"

namespace alma::sim {
namespace {

// A matrix as floats: rounded to what the arithmetic takes in, or the memory itself where that is no change.
class Floats {
 public:
  Floats(const Layout& layout, const void* memory, std::int64_t matrix, bool tf32) {
    const std::size_t first = static_cast<std::size_t>(matrix * layout.stride);
    if (layout.type == CUDA_R_32F) data_ = static_cast<const float*>(memory) + first;
    if (layout.type == CUDA_R_32F && !tf32) return;
    copy_.resize(layout.extent());
    for (std::uint64_t run = 0; run < layout.runs(); ++run) {
      for (std::uint64_t i = 0; i < layout.run(); ++i) {
        const std::size_t at = run * static_cast<std::uint64_t>(layout.leading) + i;
        copy_[at] = tf32 ? to_tf32(data_[at]) : static_cast<float>(static_cast<const Bf16*>(memory)[first + at]);
      }
    }
    data_ = copy_.data();
  }
  const float* data() const { return data_; }

 private:
  const float* data_ = nullptr;
  std::vector<float> copy_;
};

// D as floats, and back to its own type at the end.
class Result {
 public:
  Result(const Layout& layout, void* memory, std::int64_t matrix) : layout_(layout) {
    const std::size_t first = static_cast<std::size_t>(matrix * layout.stride);
    if (layout.type == CUDA_R_32F) {
      data_ = static_cast<float*>(memory) + first;
    } else {
      narrow_ = static_cast<Bf16*>(memory) + first;
      wide_.resize(layout.extent());
      data_ = wide_.data();
    }
  }
  Strided<float> view() { return layout_.over(data_); }
  void write() {
    if (narrow_ == nullptr) return;
    for (std::uint64_t run = 0; run < layout_.runs(); ++run) {
      for (std::uint64_t i = 0; i < layout_.run(); ++i) {
        const std::size_t at = run * static_cast<std::uint64_t>(layout_.leading) + i;
        narrow_[at] = Bf16(wide_[at]);
      }
    }
  }

 private:
  const Layout& layout_;
  float* data_;
  Bf16* narrow_ = nullptr;
  std::vector<float> wide_;
};

// Bit (i, j): byte (i + j * leading) / 8, lowest bit first. The real library calls its order opaque.
void write_mask(const Operation& operation, const Product& x) {
  auto* mask = static_cast<std::uint8_t*>(operation.aux);
  std::memset(mask, 0, static_cast<std::size_t>(operation.aux_leading / 8 * x.n));
  for (std::int64_t j = 0; j < x.n; ++j)
    for (std::int64_t i = 0; i < x.m; ++i)
      if (x.d(i, j) > 0) mask[(i + j * operation.aux_leading) / 8] |= static_cast<std::uint8_t>(1 << i % 8);
}
void apply_mask(const Operation& operation, const Product& x) {
  const auto* mask = static_cast<const std::uint8_t*>(operation.aux);
  for (std::int64_t j = 0; j < x.n; ++j)
    for (std::int64_t i = 0; i < x.m; ++i)
      if ((mask[(i + j * operation.aux_leading) / 8] >> i % 8 & 1) == 0) x.d(i, j) = 0;
}

template <class T>
void write_sums(void* sums, std::int64_t count, std::int64_t terms, T term) {
  for (std::int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (std::int64_t p = 0; p < terms; ++p) sum += term(i, p);
    static_cast<float*>(sums)[i] = sum;
  }
}

void finish(const Operation& operation, const Tail& tail, const Product& x) {
  if (tail.mask && !tail.relu_gradient) write_mask(operation, x);
  if (tail.relu_gradient) apply_mask(operation, x);
  if (tail.sums == Tail::of_d) write_sums(operation.bias, x.m, x.n, [&](auto i, auto p) { return x.d(i, p); });
  if (tail.sums == Tail::of_a) write_sums(operation.bias, x.m, x.k, [&](auto i, auto p) { return x.a(i, p); });
  if (tail.sums == Tail::of_b) write_sums(operation.bias, x.n, x.k, [&](auto i, auto p) { return x.b(p, i); });
}

}  // namespace

Tail tail_of(cublasLtEpilogue_t epilogue, const char* call) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT: return {false, false, false, false, Tail::none};
    case CUBLASLT_EPILOGUE_BIAS: return {true, false, false, false, Tail::none};
    case CUBLASLT_EPILOGUE_RELU: return {false, true, false, false, Tail::none};
    case CUBLASLT_EPILOGUE_RELU_BIAS: return {true, true, false, false, Tail::none};
    case CUBLASLT_EPILOGUE_RELU_AUX: return {false, true, true, false, Tail::none};
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS: return {true, true, true, false, Tail::none};
    case CUBLASLT_EPILOGUE_DRELU: return {false, false, true, true, Tail::none};
    case CUBLASLT_EPILOGUE_DRELU_BGRAD: return {false, false, true, true, Tail::of_d};
    case CUBLASLT_EPILOGUE_BGRADA: return {false, false, false, false, Tail::of_a};
    case CUBLASLT_EPILOGUE_BGRADB: return {false, false, false, false, Tail::of_b};
    default: fail("[", call, "] epilogue ", static_cast<int>(epilogue), " is not simulated");
  }
}

void multiply(const Operation& operation, const Operands& x, const Memory& memory, float alpha, float beta,
              ThreadPool* pool) {
  const Tail tail = tail_of(operation.epilogue, "cublasLtMatmul");
  const bool tf32 = operation.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  for (std::int64_t i = 0; i < x.d->batch; ++i) {
    const Floats a(*x.a, memory.a, i, tf32), b(*x.b, memory.b, i, tf32);
    std::unique_ptr<Floats> c, bias;
    Result d(*x.d, memory.d, i);
    Product product;
    product.m = static_cast<std::int64_t>(x.d->rows);
    product.n = static_cast<std::int64_t>(x.d->columns);
    product.k = static_cast<std::int64_t>(operation.transpose_a != CUBLAS_OP_N ? x.a->rows : x.a->columns);
    product.alpha = alpha;
    product.beta = beta;
    product.a = x.a->over(a.data(), operation.transpose_a != CUBLAS_OP_N);
    product.b = x.b->over(b.data(), operation.transpose_b != CUBLAS_OP_N);
    if (beta != 0) {
      c = std::make_unique<Floats>(*x.c, memory.c, i, false);
      product.c = x.c->over(c->data());
    }
    product.d = d.view();
    if (tail.bias) {
      Layout vector;
      vector.type = x.d->type;
      vector.rows = static_cast<std::uint64_t>(product.m);
      vector.columns = 1;
      vector.leading = product.m;
      vector.stride = operation.bias_stride;
      bias = std::make_unique<Floats>(vector, operation.bias, i, false);
      product.bias = bias->data();
    }
    product.relu = tail.relu;
    sgemm(product, pool);
    finish(operation, tail, product);
    d.write();
  }
}

}  // namespace alma::sim
