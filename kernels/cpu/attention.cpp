#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/checks/attention.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/workspace.h"

namespace alma {
namespace {

// One sequence and head is a task of its own, which no other thread shares: its keys and values stay in the second cache. It
// takes some queries at a time, and of their scores those up to the last of them: key by key, so that the lanes of a vector
// are queries, no product copies a matrix, and sums over keys need no sums of lanes.
constexpr std::int64_t kQueries = 64;

/// A head's [t, d] matrix inside an array of rows, `step` elements apart.
template <class T>
struct Column {
  T* data;
  std::int64_t step;
};

template <class T>
void gather(Column<const T> from, std::int64_t t, std::int64_t d, T factor, T* to) {
  for (std::int64_t i = 0; i < t; ++i)
    for (std::int64_t c = 0; c < d; ++c) to[i * d + c] = factor * from.data[i * from.step + c];
}
template <class T>
void scatter(const T* from, std::int64_t t, std::int64_t d, T factor, Column<T> to) {
  for (std::int64_t i = 0; i < t; ++i)
    for (std::int64_t c = 0; c < d; ++c) to.data[i * to.step + c] = factor * from[i * d + c];
}

/// Memory of a task, kept for the thread's next one.
template <class T>
class Memory {
 public:
  explicit Memory(std::int64_t count) {
    thread_local Workspace workspace;
    next_ = workspace.take<T>(count);
  }
  T* take(std::int64_t count) { return std::exchange(next_, next_ + count); }

 private:
  T* next_;
};

/// Where one task finds its arrays.
template <class T>
struct Task {
  check::AttentionSizes size;
  std::int64_t sequence, head;
  T scale;

  std::int64_t t() const { return size.t; }
  std::int64_t d() const { return size.d; }
  /// 0, 1, 2: queries, keys, values of an array like qkv.
  template <class U>
  Column<U> part(U* qkv, std::int64_t which) const {
    const std::int64_t step = 3 * size.heads * size.d;
    return {qkv + sequence * size.t * step + (which * size.heads + head) * size.d, step};
  }
  /// Of an array like y.
  template <class U>
  Column<U> output(U* y) const {
    const std::int64_t step = size.heads * size.d;
    return {y + sequence * size.t * step + head * size.d, step};
  }
  template <class U>
  U* log_sums(U* all) const {
    return all + (sequence * size.heads + head) * size.t;
  }
};

/// C [m, n] = op(A) op(B), or +=.
template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b,
             T* c, bool accumulate = false) {
  multiply(nullptr, Product<T>{.m = m,
                               .n = n,
                               .k = k,
                               .a = a,
                               .transpose_a = transpose_a,
                               .b = b,
                               .transpose_b = transpose_b,
                               .c = c,
                               .bias = nullptr,
                               .relu = false,
                               .accumulate = accumulate});
}

/// Calls work(first, queries, keys) for some queries at a time, which see `keys` keys.
template <class Work>
void for_queries(std::int64_t t, const Work& work) {
  for (std::int64_t first = 0; first < t; first += kQueries) {
    const std::int64_t queries = std::min(kQueries, t - first);
    work(first, queries, first + queries);
  }
}

/// The first of the queries from `first` on that sees key j, counted from them.
constexpr std::int64_t first_seeing(std::int64_t j, std::int64_t first) { return std::max<std::int64_t>(0, j - first); }

/// scores [keys, queries] become e^(score - the query's largest), 0 where the query does not see the key; log_sums [queries]
/// and inverse = 1 / sum.
template <class T>
void exponentiate(T* scores, std::int64_t first, std::int64_t queries, std::int64_t keys, T* log_sums, T* inverse) {
  T largest[kQueries], sums[kQueries];
  std::fill_n(largest, queries, -std::numeric_limits<T>::infinity());
  std::fill_n(sums, queries, T(0));
  for (std::int64_t j = 0; j < keys; ++j) {
    const T* row = scores + j * queries;
    for (std::int64_t r = first_seeing(j, first); r < queries; ++r) largest[r] = row[r] > largest[r] ? row[r] : largest[r];
  }
  for (std::int64_t j = 0; j < keys; ++j) {
    T* row = scores + j * queries;
    const std::int64_t begin = first_seeing(j, first);
    std::fill_n(row, begin, T(0));
#pragma GCC ivdep
    for (std::int64_t r = begin; r < queries; ++r) row[r] = exponential(row[r] - largest[r]);
    for (std::int64_t r = begin; r < queries; ++r) sums[r] += row[r];
  }
  for (std::int64_t r = 0; r < queries; ++r) inverse[r] = T(1) / sums[r];
  if (log_sums == nullptr) return;
  for (std::int64_t r = 0; r < queries; ++r) log_sums[r] = largest[r] + std::log(sums[r]);
}

template <class T>
void attend(const Task<T>& task, const T* qkv, T* y, T* log_sums) {
  const std::int64_t t = task.t(), d = task.d();
  Memory<T> memory(3 * t * d + kQueries * (t + d));
  T *q = memory.take(t * d), *k = memory.take(t * d), *v = memory.take(t * d);
  T *scores = memory.take(t * kQueries), *sums = memory.take(kQueries * d);
  gather(task.part(qkv, 0), t, d, task.scale, q);
  gather(task.part(qkv, 1), t, d, T(1), k);
  gather(task.part(qkv, 2), t, d, T(1), v);
  const Column<T> out = task.output(y);
  for_queries(t, [&](std::int64_t first, std::int64_t queries, std::int64_t keys) {
    product(keys, queries, d, k, false, q + first * d, true, scores);
    T inverse[kQueries];
    exponentiate(scores, first, queries, keys, log_sums == nullptr ? nullptr : task.log_sums(log_sums) + first, inverse);
    product(queries, d, keys, scores, true, v, false, sums);
    for (std::int64_t r = 0; r < queries; ++r)
      scatter(sums + r * d, 1, d, inverse[r], Column<T>{out.data + (first + r) * out.step, 0});
  });
}

/// From scores and dp, both [keys, queries], to probabilities and the gradient of the scores. `deltas`: sums of dy * y.
template <class T>
void differentiate(T* scores, T* dp, std::int64_t first, std::int64_t queries, std::int64_t keys, const T* log_sums,
                   const T* deltas) {
  for (std::int64_t j = 0; j < keys; ++j) {
    T *p = scores + j * queries, *ds = dp + j * queries;
    const std::int64_t begin = first_seeing(j, first);
    std::fill_n(p, begin, T(0));
    std::fill_n(ds, begin, T(0));
#pragma GCC ivdep
    for (std::int64_t r = begin; r < queries; ++r) {
      p[r] = exponential(p[r] - log_sums[r]);
      ds[r] = p[r] * (ds[r] - deltas[r]);
    }
  }
}

template <class T>
void attend_backward(const Task<T>& task, const T* qkv, const T* y, const T* all_log_sums, const T* dy, T* dqkv) {
  const std::int64_t t = task.t(), d = task.d();
  Memory<T> memory(7 * t * d + 2 * kQueries * t + t);
  T *q = memory.take(t * d), *k = memory.take(t * d), *v = memory.take(t * d), *g = memory.take(t * d);
  T *dq = memory.take(t * d), *dk = memory.take(t * d), *dv = memory.take(t * d);
  T *scores = memory.take(t * kQueries), *dp = memory.take(t * kQueries), *deltas = memory.take(t);
  gather(task.part(qkv, 0), t, d, task.scale, q);
  gather(task.part(qkv, 1), t, d, T(1), k);
  gather(task.part(qkv, 2), t, d, T(1), v);
  gather(task.output(dy), t, d, T(1), g);
  const Column<const T> out = task.output(y);
  for (std::int64_t i = 0; i < t; ++i)
    deltas[i] = lane_sum<T>(d, [&](std::int64_t c) { return g[i * d + c] * out.data[i * out.step + c]; });
  std::fill_n(dk, t * d, T(0));
  std::fill_n(dv, t * d, T(0));
  const T* log_sums = task.log_sums(all_log_sums);
  for_queries(t, [&](std::int64_t first, std::int64_t queries, std::int64_t keys) {
    product(keys, queries, d, k, false, q + first * d, true, scores);
    product(keys, queries, d, v, false, g + first * d, true, dp);
    differentiate(scores, dp, first, queries, keys, log_sums + first, deltas + first);
    product(queries, d, keys, dp, true, k, false, dq + first * d);
    product(keys, d, queries, dp, false, q + first * d, false, dk, true);
    product(keys, d, queries, scores, false, g + first * d, false, dv, true);
  });
  scatter(dq, t, d, task.scale, task.part(dqkv, 0));
  scatter(dk, t, d, T(1), task.part(dqkv, 1));
  scatter(dv, t, d, T(1), task.part(dqkv, 2));
}

/// work(task) for all sequences and heads.
template <class T, class Work>
void for_tasks(ThreadPool* pool, const check::AttentionSizes& size, double products, const Work& work) {
  if (size.t == 0) return;
  const T scale = T(1) / std::sqrt(static_cast<T>(size.d));
  const auto t = static_cast<double>(size.t);
  const double nanoseconds = products * t * t / 2 * static_cast<double>(size.d) / kMacsPerNanosecond;
  for_pieces(pool, size.sequences * size.heads, 1, nanoseconds, [&](std::int64_t i, std::int64_t) {
    work(Task<T>{size, i / size.heads, i % size.heads, scale});
  });
}

}  // namespace

void CpuBackend::causal_attention(const In& qkv, std::int64_t sequences, std::int64_t heads, const Out& y,
                                  const Out& log_sums) {
  const auto seen = check::causal_attention(*this, qkv, sequences, heads, y, log_sums);
  for_float("causal_attention", qkv.dtype, [&](auto type) {
    using T = decltype(type);
    for_tasks<T>(pool_, seen.sizes, 2,
                 [&](const Task<T>& task) { attend(task, qkv.as<T>(), y.as<T>(), log_sums ? log_sums.as<T>() : nullptr); });
  });
}

void CpuBackend::causal_attention_backward(const In& qkv, const In& y, const In& log_sums, const In& dy,
                                           std::int64_t sequences, std::int64_t heads, const Out& dqkv) {
  const auto seen = check::causal_attention_backward(*this, qkv, y, log_sums, dy, sequences, heads, dqkv);
  for_float("causal_attention_backward", qkv.dtype, [&](auto type) {
    using T = decltype(type);
    for_tasks<T>(pool_, seen.sizes, 5, [&](const Task<T>& task) {
      attend_backward(task, qkv.as<T>(), y.as<T>(), log_sums.as<T>(), dy.as<T>(), dqkv.as<T>());
    });
  });
}

}  // namespace alma
