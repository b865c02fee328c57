#include <Eigen/Core>

#include "kernels/checks.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/small_product.h"

namespace alma {
namespace {

/// Our own kernels do not block for the caches, so they take what has op(B) in the second cache. They are clearly faster
/// than Eigen only for skinny products (n or m of 4 to 10 with a long k); between those and the limit the two are about
/// equal. Eigen's paths for tiny products and for vectors are never taken: their order of summation depends on alignment.
template <class T>
bool is_small(const Product<T>& p) {
  constexpr std::int64_t cached = (256 << 10) / sizeof(T);
  return p.k * p.n <= cached || p.m < 16 || p.n < 16 || p.k < 16;
}

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using View = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// rows x columns of `data`, whose rows are `stride` apart.
template <class T>
View<T> view(const T* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return {data, rows, columns, Eigen::OuterStride<>(stride)};
}

/// Rows [begin, end) of C by Eigen.
template <class T>
void eigen_rows(const Product<T>& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = end - begin;
  Eigen::Map<Matrix<T>> c(p.c + begin * p.n, rows, p.n);
  if (!p.accumulate) c.setZero();
  if (p.transpose_a && p.transpose_b)
    c.noalias() += view(p.a + begin, p.k, rows, p.m).transpose() * view(p.b, p.n, p.k, p.k).transpose();
  else if (p.transpose_a)
    c.noalias() += view(p.a + begin, p.k, rows, p.m).transpose() * view(p.b, p.k, p.n, p.n);
  else if (p.transpose_b)
    c.noalias() += view(p.a + begin * p.k, rows, p.k, p.k) * view(p.b, p.n, p.k, p.k).transpose();
  else
    c.noalias() += view(p.a + begin * p.k, rows, p.k, p.k) * view(p.b, p.k, p.n, p.n);
  if (p.bias == nullptr && !p.relu) return;
  for (std::int64_t i = 0; i < rows; ++i) {
    T* row = p.c + (begin + i) * p.n;
    for (std::int64_t j = 0; j < p.n; ++j) {
      const T value = p.bias != nullptr ? row[j] + p.bias[j] : row[j];
      row[j] = p.relu && value < T(0) ? T(0) : value;
    }
  }
}

/// Rows of C per piece: about 0.2 ms of work, and enough rows to be worth a pass over B.
std::int64_t rows_at_once(std::int64_t n, std::int64_t k) {
  const std::int64_t rows = (std::int64_t{8} << 20) / std::max<std::int64_t>(1, n * k);
  return std::max<std::int64_t>(96, rows / 48 * 48);
}

template <class T>
void multiply(ThreadPool* pool, Workspace& workspace, const Product<T>& p) {
  if (p.m == 0 || p.n == 0) return;
  const double nanoseconds = 0.03 * static_cast<double>(p.n) * static_cast<double>(p.k);
  const std::int64_t grain = rows_at_once(p.n, p.k);
  if (is_small(p)) {
    T* scratch = workspace.take<T>(small_product_scratch(p));
    small_product_prepare(p, scratch);
    for_pieces(pool, p.m, grain, nanoseconds,
               [&](std::int64_t begin, std::int64_t end) { small_product_rows(p, scratch, begin, end); });
  } else {
    for_pieces(pool, p.m, grain, nanoseconds, [&](std::int64_t begin, std::int64_t end) { eigen_rows(p, begin, end); });
  }
}

}  // namespace

void CpuBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                        const Epilogue& epilogue) {
  const check::MatmulSizes size = check::matmul(a, transpose_a, b, transpose_b, c, epilogue);
  for_float("matmul", a.dtype, [&](auto type) {
    using T = decltype(type);
    multiply<T>(pool_, workspace_,
                {size.m, size.n, size.k, a.as<T>(), transpose_a, b.as<T>(), transpose_b, c.as<T>(), epilogue.bias.as<T>(),
                 epilogue.relu, epilogue.accumulate});
  });
}

}  // namespace alma
