// The simulated cuBLASLt: products against plain loops in f64, and misuse refused by name.
#include <cublasLt.h>

#include <cmath>

#include "tests/sim/sim_test.h"

namespace alma::test {
namespace {

/// A product as a program would set it up; tests change one thing and see what happens.
struct Case {
  std::int64_t m = 5, n = 7, k = 3;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::int64_t a_padding = 0, b_padding = 0, c_padding = 0;  // added to the leading dimensions
  cublasLtOrder_t order = CUBLASLT_ORDER_COL;                // of all three
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  float alpha = 1, beta = 0;
  std::int64_t wrong_inner = 0;  // added to B's inner size
  bool algorithm = true, bias_on_host = false, a_on_host = false;
  std::uint32_t promised_alignment = 4;
  std::size_t a_offset = 0;  // elements
  std::size_t workspace = 1 << 20, given_workspace = 1 << 20;
};

/// One matrix in device memory, its numbers on the host, and its layout.
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t columns, std::int64_t padding, cublasLtOrder_t order, std::int64_t wrong_run = 0)
      : by_column_(order == CUBLASLT_ORDER_COL), leading_((by_column_ ? rows : columns) + padding) {
    host_.resize(static_cast<std::size_t>(leading_ * (by_column_ ? columns : rows)) + 8);
    for (std::size_t i = 0; i < host_.size(); ++i)
      host_[i] = std::sin(static_cast<float>(i) * 1.7f + static_cast<float>(rows));
    device_ = std::make_unique<DeviceArray<float>>(host_);
    const auto r = static_cast<std::uint64_t>(rows + wrong_run), c = static_cast<std::uint64_t>(columns);
    EXPECT_EQ(cublasLtMatrixLayoutCreate(&layout_, CUDA_R_32F, r, c, leading_), CUBLAS_STATUS_SUCCESS);
    const std::int32_t value = order;
    cublasLtMatrixLayoutSetAttribute(layout_, CUBLASLT_MATRIX_LAYOUT_ORDER, &value, sizeof value);
  }
  ~Matrix() { cublasLtMatrixLayoutDestroy(layout_); }

  double at(std::int64_t i, std::int64_t j) const { return host_[index(i, j)]; }
  std::size_t index(std::int64_t i, std::int64_t j) const {
    return static_cast<std::size_t>(by_column_ ? i + j * leading_ : i * leading_ + j);
  }
  float* host() { return host_.data(); }
  float* device() { return device_->data(); }
  std::vector<float> result() const { return device_->values(); }
  const std::vector<float>& before() const { return host_; }
  cublasLtMatrixLayout_t layout() const { return layout_; }

 private:
  bool by_column_;
  std::int64_t leading_;
  std::vector<float> host_;
  std::unique_ptr<DeviceArray<float>> device_;
  cublasLtMatrixLayout_t layout_ = nullptr;
};

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
}

bool with_bias(const Case& s) { return s.epilogue == CUBLASLT_EPILOGUE_BIAS || s.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS; }

void expect_product(const Case& s, const Matrix& a, const Matrix& b, const Matrix& c, const std::vector<float>& bias) {
  const std::vector<float> result = c.result();
  std::vector<bool> written(result.size(), false);
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < s.k; ++p)
        sum += (s.transpose_a == CUBLAS_OP_N ? a.at(i, p) : a.at(p, i)) *
               (s.transpose_b == CUBLAS_OP_N ? b.at(p, j) : b.at(j, p));
      double expected = s.alpha * sum + (s.beta != 0 ? s.beta * c.at(i, j) : 0);
      if (with_bias(s)) expected += bias[static_cast<std::size_t>(i)];
      if (s.epilogue == CUBLASLT_EPILOGUE_RELU || s.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS)
        expected = std::max(expected, 0.0);
      // k roundings of numbers up to 1, and a few at the end
      ASSERT_NEAR(result[c.index(i, j)], expected, 1e-6 * static_cast<double>(s.k + 4)) << i << ", " << j;
      written[c.index(i, j)] = true;
    }
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (written[i]) continue;
    ASSERT_EQ(result[i], c.before()[i]) << "padding was written at " << i;
  }
}

void run_product(const Case& s) {
  const bool ta = s.transpose_a != CUBLAS_OP_N, tb = s.transpose_b != CUBLAS_OP_N;
  Matrix a(ta ? s.k : s.m, ta ? s.m : s.k, s.a_padding, s.order), c(s.m, s.n, s.c_padding, s.order);
  Matrix b(tb ? s.n : s.k, tb ? s.k : s.n, s.b_padding, s.order, s.wrong_inner);
  const std::vector<float> bias(static_cast<std::size_t>(s.m), 0.25f);
  DeviceArray<float> device_bias(bias);
  DeviceArray<std::uint8_t> workspace(s.given_workspace);

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtCreate(&handle);
  cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_a);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_b);
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, s.epilogue);
  if (with_bias(s)) set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, s.bias_on_host ? bias.data() : device_bias.data());
  cublasLtMatmulPreferenceCreate(&preference);
  for (const auto name : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    cublasLtMatmulPreferenceSetAttribute(preference, name, &s.promised_alignment, sizeof s.promised_alignment);
  const std::uint64_t workspace_limit = s.workspace;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_limit, 8);

  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic(handle, operation, a.layout(), b.layout(), c.layout(), c.layout(), preference, 1, &result,
                                 &found);
  ASSERT_EQ(found, 1);
  const float* memory_of_a = (s.a_on_host ? a.host() : a.device()) + s.a_offset;
  cublasLtMatmul(handle, operation, &s.alpha, memory_of_a, a.layout(), b.device(), b.layout(), &s.beta, c.device(),
                 c.layout(), c.device(), c.layout(), s.algorithm ? &result.algo : nullptr, workspace.data(),
                 s.given_workspace, nullptr);
  expect_product(s, a, b, c, bias);
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatmulDescDestroy(operation);
  cublasLtDestroy(handle);
}

TEST(SimCublasLt, TransposesOrdersPaddingAndRaggedSizes) {
  for (const std::int64_t size : {1, 6, 16, 17, 33, 100}) {
    for (const cublasLtOrder_t order : {CUBLASLT_ORDER_COL, CUBLASLT_ORDER_ROW}) {
      for (const cublasOperation_t ta : {CUBLAS_OP_N, CUBLAS_OP_T}) {
        for (const cublasOperation_t tb : {CUBLAS_OP_N, CUBLAS_OP_T}) {
          Case s;
          s.m = size;
          s.n = 2 * size + 1;
          s.k = size + 3;
          s.transpose_a = ta;
          s.transpose_b = tb;
          s.order = order;
          s.a_padding = size % 3;
          s.b_padding = 1;
          s.c_padding = size % 2;
          run_product(s);
        }
      }
    }
  }
}

TEST(SimCublasLt, EpiloguesAndFactors) {
  for (const auto epilogue :
       {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS}) {
    for (const float beta : {0.0f, 1.0f, -0.5f}) {
      Case s;
      s.epilogue = epilogue;
      s.alpha = 0.75f;
      s.beta = beta;
      run_product(s);
    }
  }
}

TEST(SimCublasLt, RefusesMisuse) {
  const auto error = [](auto change) {
    Case s;
    change(s);
    return error_of([&] { run_product(s); });
  };
  expect_has(error([](Case& s) { s.a_padding = -1; }), "the leading dimension of A must be at least 5, got 4");
  expect_has(error([](Case& s) { s.c_padding = -2; }), "the leading dimension of C must be at least 5, got 3");
  expect_has(error([](Case& s) {
               s.b_padding = 1;
               s.wrong_inner = 1;
             }),
             "inner sizes differ: op(A) has 3 columns, op(B) 4 rows");
  expect_has(error([](Case& s) { s.k = 0; }), "empty product");
  expect_has(error([](Case& s) { s.a_on_host = true; }), "A 0x");
  expect_has(error([](Case& s) { s.a_offset = 9; }), "A reaches 60 bytes far");
  expect_has(error([](Case& s) {
               s.promised_alignment = 16;
               s.a_offset = 1;
             }),
             "A is not aligned to 16 bytes");
  expect_has(error([](Case& s) {
               s.epilogue = CUBLASLT_EPILOGUE_BIAS;
               s.bias_on_host = true;
             }),
             "the bias");
  expect_has(error([](Case& s) { s.epilogue = CUBLASLT_EPILOGUE_GELU; }), "epilogue 32 is not simulated");
  expect_has(error([](Case& s) { s.algorithm = false; }), "no algorithm");
  expect_has(error([](Case& s) { s.given_workspace = 16; }), "bytes of workspace, got 16");
  expect_has(error([](Case& s) { s.transpose_a = CUBLAS_OP_C; }), "operation 2 is not simulated");
}

TEST(SimCublasLt, RefusesOtherArithmetic) {
  cublasLtMatmulDesc_t operation = nullptr;
  expect_has(error_of([&] { cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F_FAST_16F, CUDA_R_32F); }),
             "only f32 arithmetic");
  cublasLtMatrixLayout_t layout = nullptr;
  expect_has(error_of([&] { cublasLtMatrixLayoutCreate(&layout, CUDA_R_16F, 1, 1, 1); }), "only f32");
}

}  // namespace
}  // namespace alma::test
