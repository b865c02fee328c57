// The simulated cuBLASLt: batches, roundings of tf32 and bf16, masks and bias gradients; misuse of each refused by name.
#include <cublasLt.h>

#include <cmath>

#include "kernels/bf16.h"
#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// D [m, n] = A [m, k] B [k, n], column-major and dense, as a program would set it up; tests change one thing.
struct Problem {
  std::int64_t m = 5, n = 7, k = 3;
  std::int32_t batch = 1, b_batch = 0;  // b_batch 0: the same
  std::int64_t d_stride = -1;           // -1: dense
  bool narrow = false, narrow_result = false;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  std::int64_t mask_leading = 128;
  std::size_t mask_bytes = 0, mask_offset = 0;  // 0: as many as needed
  bool sums_in_d = false, sums_on_host = false, workspace_odd = false, type_of_c_differs = false;
};

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
}
template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const T& value) {
  EXPECT_EQ(cublasLtMatrixLayoutSetAttribute(layout, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
}

std::vector<float> wave(std::int64_t count, float phase) {
  std::vector<float> values(at(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i) * 1.7f + phase);
  return values;
}

/// Device memory with floats in it, as f32 or bf16.
class Array {
 public:
  Array(const std::vector<float>& values, bool narrow) : narrow_(narrow), bytes_(values.size() * (narrow ? 2 : 4)) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Bf16 half(values[i]);
      std::memcpy(bytes_.data() + i * (narrow ? 2 : 4), narrow ? static_cast<const void*>(&half) : &values[i],
                  narrow ? 2 : 4);
    }
    device_ = std::make_unique<DeviceArray<std::uint8_t>>(bytes_);
  }
  void* data() { return device_->data(); }
  std::vector<float> values() const {
    const std::vector<std::uint8_t> bytes = device_->values();
    std::vector<float> values(bytes.size() / (narrow_ ? 2 : 4));
    for (std::size_t i = 0; i < values.size(); ++i) {
      Bf16 half;
      std::memcpy(narrow_ ? static_cast<void*>(&half) : &values[i], bytes.data() + i * (narrow_ ? 2 : 4), narrow_ ? 2 : 4);
      if (narrow_) values[i] = static_cast<float>(half);
    }
    return values;
  }

 private:
  bool narrow_;
  std::vector<std::uint8_t> bytes_;
  std::unique_ptr<DeviceArray<std::uint8_t>> device_;
};

struct Outcome {
  std::vector<float> a, b, d, vector;  // as they lay in memory
  std::vector<std::uint8_t> mask;
};

cublasLtMatrixLayout_t layout_of(std::int64_t rows, std::int64_t columns, std::int32_t batch, std::int64_t stride,
                                 bool narrow) {
  cublasLtMatrixLayout_t layout = nullptr;
  cublasLtMatrixLayoutCreate(&layout, narrow ? CUDA_R_16BF : CUDA_R_32F, static_cast<std::uint64_t>(rows),
                             static_cast<std::uint64_t>(columns), rows);
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, batch);
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  return layout;
}

Outcome run(const Problem& s) {
  const std::int64_t d_stride = s.d_stride < 0 ? s.m * s.n : s.d_stride;
  Array a(wave(s.batch * s.m * s.k, 0), s.narrow), b(wave(s.batch * s.k * s.n, 1), s.narrow);
  Array d(wave(s.batch * s.m * s.n, 2), s.narrow_result), vector(wave(std::max(s.m, s.n), 3), s.narrow_result);
  std::vector<std::uint8_t> bits(s.mask_bytes > 0 ? s.mask_bytes
                                                  : at(std::max<std::int64_t>(s.mask_leading, 1) / 8 * s.n) + 16);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint8_t>(i * 37);
  DeviceArray<std::uint8_t> mask(bits), workspace((1 << 20) + 16);
  std::vector<float> on_host(64);

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtCreate(&handle);
  cublasLtMatmulDescCreate(&operation, s.compute, CUDA_R_32F);
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, s.epilogue);
  set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
      s.sums_in_d      ? d.data()
      : s.sums_on_host ? static_cast<void*>(on_host.data())
                       : vector.data());
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(mask.data() + s.mask_offset));
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, s.mask_leading);
  const auto la = layout_of(s.m, s.k, s.batch, s.m * s.k, s.narrow);
  const auto lb = layout_of(s.k, s.n, s.b_batch > 0 ? s.b_batch : s.batch, s.k * s.n, s.narrow);
  const auto ld = layout_of(s.m, s.n, s.batch, d_stride, s.narrow_result);
  const auto lc = layout_of(s.m, s.n, s.batch, d_stride, s.narrow_result != s.type_of_c_differs);
  cublasLtMatmulPreferenceCreate(&preference);
  const std::uint64_t limit = 1 << 20;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit, sizeof limit);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic(handle, operation, la, lb, lc, ld, preference, 1, &result, &found);
  const float one = 1, zero = 0;
  cublasLtMatmul(handle, operation, &one, a.data(), la, b.data(), lb, &zero, d.data(), lc, d.data(), ld, &result.algo,
                 workspace.data() + (s.workspace_odd ? 4 : 0), 1 << 20, nullptr);
  for (const auto layout : {la, lb, lc, ld}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatmulDescDestroy(operation);
  cublasLtDestroy(handle);
  return {a.values(), b.values(), d.values(), vector.values(), mask.values()};
}

double plain(const Problem& s, const Outcome& o, std::int64_t q, std::int64_t i, std::int64_t j) {
  double sum = 0;
  for (std::int64_t p = 0; p < s.k; ++p)
    sum += static_cast<double>(o.a[at(q * s.m * s.k + i + p * s.m)]) * o.b[at(q * s.k * s.n + p + j * s.k)];
  return sum;
}
bool bit(const Outcome& o, std::int64_t leading, std::int64_t i, std::int64_t j) {
  return (o.mask[at((i + j * leading) / 8)] >> i % 8 & 1) != 0;
}

TEST(SimCublasLtModes, BatchesOfBothTypes) {
  for (const bool narrow : {false, true})
    for (const bool narrow_result : {false, true}) {
      if (narrow_result && !narrow) continue;
      Problem s;
      s.batch = 4;
      s.narrow = narrow;
      s.narrow_result = narrow_result;
      const Outcome o = run(s);
      for (std::int64_t q = 0; q < s.batch; ++q)
        for (std::int64_t i = 0; i < s.m; ++i)
          for (std::int64_t j = 0; j < s.n; ++j) {
            const double expected = plain(s, o, q, i, j);
            // a bf16 has 8 bits: half a unit of numbers below 4
            ASSERT_NEAR(o.d[at(q * s.m * s.n + i + j * s.m)], expected, narrow_result ? 1.0 / 128 : 1e-6);
          }
    }
}

// 10 bits after the leading one; the half goes away from zero.
TEST(SimCublasLtModes, Tf32RoundsTheOperands) {
  Problem s;
  s.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
  const Outcome o = run(s);
  const auto round = [](float value) {
    int exponent = 0;
    const double fraction = std::frexp(static_cast<double>(value), &exponent);
    return std::ldexp(std::round(std::ldexp(fraction, 11)), exponent - 11);
  };
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < s.k; ++p) sum += round(o.a[at(i + p * s.m)]) * round(o.b[at(p + j * s.k)]);
      ASSERT_NEAR(o.d[at(i + j * s.m)], sum, 1e-6);
    }
}

TEST(SimCublasLtModes, ReluLeavesItsMaskAndTheGradientReadsIt) {
  Problem s;
  s.m = 130;
  s.mask_leading = 256;
  s.epilogue = CUBLASLT_EPILOGUE_RELU_AUX;
  Outcome o = run(s);
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      ASSERT_NEAR(o.d[at(i + j * s.m)], std::max(plain(s, o, 0, i, j), 0.0), 1e-6);
      ASSERT_EQ(bit(o, s.mask_leading, i, j), o.d[at(i + j * s.m)] > 0);
    }
  s.epilogue = CUBLASLT_EPILOGUE_DRELU_BGRAD;
  o = run(s);
  for (std::int64_t i = 0; i < s.m; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < s.n; ++j) {
      const double expected = bit(o, s.mask_leading, i, j) ? plain(s, o, 0, i, j) : 0;
      ASSERT_NEAR(o.d[at(i + j * s.m)], expected, 1e-6);
      sum += expected;
    }
    ASSERT_NEAR(o.vector[at(i)], sum, 1e-5);
  }
}

TEST(SimCublasLtModes, BiasGradientsOfTheOperands) {
  Problem s;
  s.epilogue = CUBLASLT_EPILOGUE_BGRADA;
  Outcome o = run(s);
  for (std::int64_t i = 0; i < s.m; ++i) {
    double sum = 0;
    for (std::int64_t p = 0; p < s.k; ++p) sum += o.a[at(i + p * s.m)];
    ASSERT_NEAR(o.vector[at(i)], sum, 1e-6);
  }
  s.epilogue = CUBLASLT_EPILOGUE_BGRADB;
  o = run(s);
  for (std::int64_t j = 0; j < s.n; ++j) {
    double sum = 0;
    for (std::int64_t p = 0; p < s.k; ++p) sum += o.b[at(p + j * s.k)];
    ASSERT_NEAR(o.vector[at(j)], sum, 1e-6);
  }
}

TEST(SimCublasLtModes, RefusesMisuse) {
  const auto error = [](auto change) {
    Problem s;
    change(s);
    return error_of([&] { run(s); });
  };
  const auto with_mask = [&](auto change) {
    return error([&](Problem& s) {
      s.epilogue = CUBLASLT_EPILOGUE_DRELU_BGRAD;
      change(s);
    });
  };
  expect_has(with_mask([](Problem& s) { s.mask_leading = 64; }),
             "the mask must be a multiple of 128 and at least 5, got 64");
  expect_has(with_mask([](Problem& s) { s.m = 129; }), "the mask must be a multiple of 128 and at least 129, got 128");
  expect_has(with_mask([](Problem& s) { s.mask_bytes = 100; }), "the mask reaches 112 bytes far");
  expect_has(with_mask([](Problem& s) { s.mask_offset = 8; }), "the mask is not aligned to 16 bytes");
  expect_has(with_mask([](Problem& s) { s.sums_in_d = true; }), "the bias gradient overlaps D");
  expect_has(with_mask([](Problem& s) { s.sums_on_host = true; }), "the bias gradient 0x");
  expect_has(with_mask([](Problem& s) { s.batch = 2; }), "masks and bias gradients of a batch are not simulated");
  expect_has(error([](Problem& s) { s.workspace_odd = true; }), "the workspace is not aligned to 16 bytes");
  expect_has(error([](Problem& s) {
               s.batch = 3;
               s.d_stride = 30;
             }),
             "the matrices of D overlap: they are 35 elements long, 30 apart");
  expect_has(error([](Problem& s) {
               s.batch = 3;
               s.d_stride = 40;
             }),
             "C reaches 460 bytes far");
  expect_has(error([](Problem& s) {
               s.batch = 3;
               s.b_batch = 2;
             }),
             "B has a batch of 2, D of 3");
  expect_has(error([](Problem& s) { s.narrow_result = true; }), "f32 operands give f32");
  expect_has(error([](Problem& s) { s.type_of_c_differs = true; }), "C and D have different types");
  expect_has(error([](Problem& s) {
               s.narrow = true;
               s.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
             }),
             "tf32 multiplies f32 operands");
}

}  // namespace
}  // namespace alma::test
