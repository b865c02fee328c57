#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/gemm_shapes.h"

namespace alma::bench {

/// One product in f32: C [m, n] = op(A) op(B), dense and row-major.
struct GemmProblem {
  GemmShape shape;
  const float *a = nullptr, *b = nullptr;
  float* c = nullptr;
};

/// A library that multiplies.
struct GemmSystem {
  std::string name;
  /// Prepares a product (outside the measurement) and returns the function that computes it.
  std::function<std::function<void()>(const GemmProblem&)> prepare;
};

/// dnnl_sgemm and the matmul primitive, and oneDNN's version.
std::vector<GemmSystem> onednn_systems();
std::string onednn_version();

/// cblas_sgemm of libopenblas.so.0, opened at run time so that neither its symbols nor another BLAS come in between. Throws
/// Error (usage), saying what to install, where there is none.
GemmSystem openblas_system();
/// Version, kernels and threads.
std::string openblas_description();

/// Eigen's product, compiled for this machine's processor in a file of its own; its version and instruction sets.
void eigen_multiply(const GemmProblem& problem);
const char* eigen_description();

}  // namespace alma::bench
