#include "kernels/cpu/f64.h"

#include <Eigen/Core>
#include <algorithm>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/workspace.h"

// Three habits of Eigen would make the bits of a result depend on more than its shape:
// - A product is cut by the sizes of this processor's caches: here they are fixed.
// - A product of at most 20 rows, columns and terms is evaluated element by element, and on the way the start of an array
//   within a vector decides what is added together: EIGEN_GEMM_TO_COEFFBASED_THRESHOLD = 0 (kernels/cpu/CMakeLists.txt).
// - sum() of an array in memory does the same: row_sum() is a product with ones, exact but for the order.
namespace alma {
namespace {

const bool cache_sizes_are_fixed = [] {
  Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 2 << 20);
  return true;
}();

constexpr double kNanosecondsPerMac = 0.05;

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Rows = Eigen::Map<Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using ConstRows = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using Column = Eigen::Map<Eigen::VectorXd>;
using ConstColumn = Eigen::Map<const Eigen::VectorXd>;

Rows dense(double* data, std::int64_t rows, std::int64_t columns) {
  return {data, rows, columns, Eigen::OuterStride<>(columns)};
}
ConstRows dense(const double* data, std::int64_t rows, std::int64_t columns) {
  return {data, rows, columns, Eigen::OuterStride<>(columns)};
}

/// c += op(a) op(b)
void add_product(Rows c, const ConstRows& a, bool transpose_a, const ConstRows& b, bool transpose_b) {
  if (transpose_a && transpose_b) {
    c.noalias() += a.transpose() * b.transpose();
  } else if (transpose_a) {
    c.noalias() += a.transpose() * b;
  } else if (transpose_b) {
    c.noalias() += a * b.transpose();
  } else {
    c.noalias() += a * b;
  }
}

/// A block of C with everything that belongs to it.
void multiply_block(const Product<double>& p, std::int64_t row, std::int64_t rows, std::int64_t column,
                    std::int64_t columns) {
  Rows c(p.c + row * p.n + column, rows, columns, Eigen::OuterStride<>(p.n));
  if (p.bias != nullptr) {
    c.rowwise() = ConstColumn(p.bias + column, columns).transpose();
  } else if (!p.accumulate) {
    c.setZero();
  }
  const ConstRows a = p.transpose_a ? ConstRows(p.a + row, p.k, rows, Eigen::OuterStride<>(p.m))
                                    : ConstRows(p.a + row * p.k, rows, p.k, Eigen::OuterStride<>(p.k));
  const ConstRows b = p.transpose_b ? ConstRows(p.b + column * p.k, columns, p.k, Eigen::OuterStride<>(p.k))
                                    : ConstRows(p.b + column, p.k, columns, Eigen::OuterStride<>(p.n));
  add_product(c, a, p.transpose_a, b, p.transpose_b);
  if (p.relu) c = c.unaryExpr([](double value) { return value < 0 ? 0.0 : value; });  // NaN stays NaN
}

}  // namespace

void multiply(ThreadPool* pool, const Product<double>& p) {
  constexpr std::int64_t grain = 128;  // rows or columns of C
  const double nanoseconds = kNanosecondsPerMac * static_cast<double>(p.k) * static_cast<double>(std::min(p.m, p.n));
  if (p.m >= p.n) {
    for_pieces(pool, p.m, grain, nanoseconds,
               [&](std::int64_t begin, std::int64_t end) { multiply_block(p, begin, end - begin, 0, p.n); });
  } else {
    for_pieces(pool, p.n, grain, nanoseconds,
               [&](std::int64_t begin, std::int64_t end) { multiply_block(p, 0, p.m, begin, end - begin); });
  }
}

namespace f64 {
namespace {

/// Images as a matrix: each input that a tap meets, [channels * taps, outputs], zeros where it meets padding. On this
/// thread until the next call.
double* columns_of(const ConvSizes& z, std::int64_t channels) {
  thread_local Workspace workspace;
  return workspace.take<double>(channels * z.taps() * z.outputs());
}

/// `channels` planes of x as such a matrix.
ConstRows unfold(const ConvSizes& z, std::int64_t channels, const double* x) {
  double* columns = columns_of(z, channels);
  std::fill_n(columns, channels * z.taps() * z.outputs(), 0.0);
  for (std::int64_t c = 0; c < channels; ++c)
    z.rows_of_taps([&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t count) {
      double* row = columns + (c * z.taps() + tap) * z.outputs() + to;
      const double* in = x + c * z.h * z.w + from;
      for (std::int64_t i = 0; i < count; ++i) row[i] = in[i * z.g.stride_w];
    });
  return dense(static_cast<const double*>(columns), channels * z.taps(), z.outputs());
}

/// Its transpose: what belongs to one input is added up in `channels` planes of dx.
void fold(const ConvSizes& z, std::int64_t channels, const double* columns, double* dx) {
  std::fill_n(dx, channels * z.h * z.w, 0.0);
  for (std::int64_t c = 0; c < channels; ++c)
    z.rows_of_taps([&](std::int64_t tap, std::int64_t to, std::int64_t from, std::int64_t count) {
      const double* row = columns + (c * z.taps() + tap) * z.outputs() + from;
      double* out = dx + c * z.h * z.w + to;
      for (std::int64_t i = 0; i < count; ++i) out[i * z.g.stride_w] += row[i];
    });
}

/// Calls work(image, group) for each, on the pool.
template <class Work>
void for_groups(ThreadPool* pool, const ConvSizes& z, const Work& work) {
  const double nanoseconds =
      kNanosecondsPerMac * static_cast<double>(z.group_k * z.outputs()) * static_cast<double>(z.group_c * z.taps());
  for_pieces(pool, z.n * z.g.groups, 1, nanoseconds,
             [&](std::int64_t piece, std::int64_t) { work(piece / z.g.groups, piece % z.g.groups); });
}

}  // namespace

double row_sum(const double* x, std::int64_t n) { return ConstColumn(x, n).dot(Eigen::VectorXd::Ones(n)); }

void column_sums(const double* x, std::int64_t rows, std::int64_t n, std::int64_t begin, std::int64_t end, bool add,
                 double* y) {
  Column sums(y + begin, end - begin);
  if (!add) sums.setZero();
  for (std::int64_t row = 0; row < rows; ++row) sums += ConstColumn(x + row * n + begin, end - begin);
}

void forward(ThreadPool* pool, const ConvSizes& z, const double* x, const double* filter, const double* bias, double* y) {
  const std::int64_t terms = z.group_c * z.taps();
  for_groups(pool, z, [&](std::int64_t image, std::int64_t group) {
    const std::int64_t first = group * z.group_k;
    Rows out = dense(y + (image * z.k + first) * z.outputs(), z.group_k, z.outputs());
    if (bias != nullptr) {
      out.colwise() = ConstColumn(bias + first, z.group_k);
    } else {
      out.setZero();
    }
    const ConstRows columns = unfold(z, z.group_c, x + (image * z.c + group * z.group_c) * z.h * z.w);
    add_product(out, dense(filter + first * terms, z.group_k, terms), false, columns, false);
  });
}

void data_gradient(ThreadPool* pool, const ConvSizes& z, const double* dy, const double* filter, double* dx) {
  const std::int64_t terms = z.group_c * z.taps();
  for_groups(pool, z, [&](std::int64_t image, std::int64_t group) {
    const std::int64_t first = group * z.group_k;
    Rows columns = dense(columns_of(z, z.group_c), terms, z.outputs());
    columns.setZero();
    add_product(columns, dense(filter + first * terms, z.group_k, terms), true,
                dense(dy + (image * z.k + first) * z.outputs(), z.group_k, z.outputs()), false);
    fold(z, z.group_c, columns.data(), dx + (image * z.c + group * z.group_c) * z.h * z.w);
  });
}

// Some input channels of a group at once; their part of the gradient is a block of columns.
void weight_gradient(ThreadPool* pool, const ConvSizes& z, const double* x, const double* dy, double* dfilter) {
  constexpr std::int64_t together = 16;
  const std::int64_t pieces = ceil_divide(z.group_c, together), terms = z.group_c * z.taps();
  const double nanoseconds = kNanosecondsPerMac * static_cast<double>(z.n * z.group_k * z.outputs()) *
                             static_cast<double>(std::min(together, z.group_c) * z.taps());
  for_pieces(pool, z.g.groups * pieces, 1, nanoseconds, [&](std::int64_t piece, std::int64_t) {
    const std::int64_t group = piece / pieces, begin = piece % pieces * together, first = group * z.group_k;
    const std::int64_t channels = std::min(together, z.group_c - begin);
    Rows out(dfilter + first * terms + begin * z.taps(), z.group_k, channels * z.taps(), Eigen::OuterStride<>(terms));
    out.setZero();
    for (std::int64_t image = 0; image < z.n; ++image)
      add_product(out, dense(dy + (image * z.k + first) * z.outputs(), z.group_k, z.outputs()), false,
                  unfold(z, channels, x + (image * z.c + group * z.group_c + begin) * z.h * z.w), true);
  });
}

// Per channel the sum over the images of the sums of planes.
void bias_gradient(ThreadPool* pool, const ConvSizes& z, const double* dy, double* dbias) {
  for_pieces(pool, z.k, 1, static_cast<double>(z.n * z.outputs()), [&](std::int64_t k, std::int64_t) {
    double sum = 0;
    for (std::int64_t image = 0; image < z.n; ++image) sum += row_sum(dy + (image * z.k + k) * z.outputs(), z.outputs());
    dbias[k] = sum;
  });
}

}  // namespace f64
}  // namespace alma
