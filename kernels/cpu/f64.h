#pragma once
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/cpu/conv_sizes.h"

/// Reductions and convolutions in f64, by Eigen; the products are multiply() in gemm.h. f32 has kernels of its own, which
/// tests hold against these. As everywhere, the order of every sum follows from the sizes alone.
namespace alma::f64 {

/// Sum of n neighbours.
double row_sum(const double* x, std::int64_t n);
/// y[j] (+)= sum over the rows of x [rows, n], for j in [begin, end).
void column_sums(const double* x, std::int64_t rows, std::int64_t n, std::int64_t begin, std::int64_t end, bool add,
                 double* y);

/// conv2d() and its gradients over row_major images; bias may be null, and so may `pool`.
void forward(ThreadPool* pool, const ConvSizes& z, const double* x, const double* filter, const double* bias, double* y);
void data_gradient(ThreadPool* pool, const ConvSizes& z, const double* dy, const double* filter, double* dx);
void weight_gradient(ThreadPool* pool, const ConvSizes& z, const double* x, const double* dy, double* dfilter);
void bias_gradient(ThreadPool* pool, const ConvSizes& z, const double* dy, double* dbias);

}  // namespace alma::f64
