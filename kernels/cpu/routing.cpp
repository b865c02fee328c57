#include <cmath>

#include "kernels/checks/routing.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

constexpr std::int64_t kTokensPerPiece = 256;

/// Softmax of one row; returns the index of the largest logit.
template <class T>
std::int32_t probabilities_of(const T* logits, std::int64_t experts, T* probabilities) {
  const T max = largest(logits, experts);
  for (std::int64_t e = 0; e < experts; ++e) probabilities[e] = std::exp(logits[e] - max);
  const T inverse = T(1) / lane_sum<T>(experts, [=](std::int64_t e) { return probabilities[e]; });
  for (std::int64_t e = 0; e < experts; ++e) probabilities[e] *= inverse;
  const T* const best = std::find(logits, logits + experts, max);
  return best == logits + experts ? 0 : static_cast<std::int32_t>(best - logits);  // all NaN: the first
}

/// Row of `slotted` that a token goes to; null beyond the capacity.
template <class T>
T* slot_of(T* slotted, const Shape& shape, const In& expert, const In& position, std::int64_t token) {
  const std::int64_t place = position.as<std::int32_t>()[token];
  return place < 0 ? nullptr : slotted + (expert.as<std::int32_t>()[token] * shape[1] + place) * shape[2];
}

double nanoseconds_of_row(std::int64_t d) { return 0.3 * static_cast<double>(d) + 5; }

}  // namespace

void CpuBackend::route_top1(const In& logits, const Routes& routes) {
  const auto seen = check::route_top1(*this, logits, routes);
  const check::RouteSizes& size = seen.sizes;
  for_float("route_top1", logits.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t pieces = ceil_divide(size.tokens, kTokensPerPiece);
    T* const sums = workspace_.take<T>(pieces * size.experts);  // of the probabilities, per piece
    auto* const expert = routes.expert.as<std::int32_t>();
    for_pieces(pool_, size.tokens, kTokensPerPiece, 3 * static_cast<double>(size.experts),
               [&](std::int64_t begin, std::int64_t end) {
                 T* const sum = sums + begin / kTokensPerPiece * size.experts;
                 std::fill_n(sum, size.experts, T(0));
                 for (std::int64_t t = begin; t < end; ++t) {
                   T* const p = routes.probabilities.as<T>() + t * size.experts;
                   expert[t] = probabilities_of(logits.as<T>() + t * size.experts, size.experts, p);
                   routes.gate.as<T>()[t] = p[expert[t]];
                   for (std::int64_t e = 0; e < size.experts; ++e) sum[e] += p[e];
                 }
               });
    auto* const counts = routes.counts.as<std::int32_t>();
    auto* const slots = routes.slots.as<std::int32_t>();
    std::fill_n(counts, size.experts, 0);
    std::fill_n(slots, size.experts * size.capacity, -1);
    for (std::int64_t t = 0; t < size.tokens; ++t) {
      const std::int64_t place = counts[expert[t]]++;
      const bool fits = place < size.capacity;
      routes.position.as<std::int32_t>()[t] = fits ? static_cast<std::int32_t>(place) : -1;
      if (fits) slots[expert[t] * size.capacity + place] = static_cast<std::int32_t>(t);
    }
    const T per_token = size.tokens == 0 ? T(0) : T(1) / static_cast<T>(size.tokens);
    T balance = 0;
    for (std::int64_t e = 0; e < size.experts; ++e) {
      T sum = 0;
      for (std::int64_t p = 0; p < pieces; ++p) sum += sums[p * size.experts + e];
      routes.importance.as<T>()[e] = sum * per_token;
      balance += static_cast<T>(counts[e]) * per_token * (sum * per_token);
    }
    *routes.balance.as<T>() = balance * static_cast<T>(size.experts);
  });
}

void CpuBackend::route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate,
                                     const In& dbalance, const Out& dlogits) {
  const Observed seen = check::route_top1_backward(*this, probabilities, expert, counts, dgate, dbalance, dlogits);
  for_float("route_top1_backward", probabilities.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t tokens = probabilities.shape[0], experts = probabilities.shape[1];
    if (tokens == 0) return;
    // Of every token's probability of an expert, through the balance.
    T* const load = workspace_.take<T>(experts);
    const T factor = dbalance ? *dbalance.as<T>() * static_cast<T>(experts) / static_cast<T>(tokens) : T(0);
    for (std::int64_t e = 0; e < experts; ++e)
      load[e] = factor * (static_cast<T>(counts.as<std::int32_t>()[e]) / static_cast<T>(tokens));
    for_rows(pool_, tokens, experts, nanoseconds_of_row(experts), [&](std::int64_t t) {
      const T* p = probabilities.as<T>() + t * experts;
      T* dx = dlogits.as<T>() + t * experts;
      const std::int64_t chosen = expert.as<std::int32_t>()[t];
      const T g = dgate ? dgate.as<T>()[t] : T(0);
      const T dot = lane_sum<T>(experts, [=](std::int64_t e) { return p[e] * (load[e] + (e == chosen ? g : T(0))); });
      for (std::int64_t e = 0; e < experts; ++e) dx[e] = p[e] * (load[e] + (e == chosen ? g : T(0)) - dot);
    });
  });
}

void CpuBackend::route_dispatch(const In& x, const In& slots, const Out& y) {
  const Observed seen = check::route_dispatch(*this, x, slots, y);
  for_float("route_dispatch", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t d = x.shape[1];
    for_rows(pool_, slots.shape.count(), d, nanoseconds_of_row(d), [&](std::int64_t slot) {
      const std::int64_t token = slots.as<std::int32_t>()[slot];
      T* const to = y.as<T>() + slot * d;
      if (token < 0) {
        std::fill_n(to, d, T(0));
      } else {
        std::copy_n(x.as<T>() + token * d, d, to);
      }
    });
  });
}

void CpuBackend::route_dispatch_backward(const In& dy, const In& expert, const In& position, const Out& dx) {
  const Observed seen = check::route_dispatch_backward(*this, dy, expert, position, dx);
  for_float("route_dispatch_backward", dy.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t d = dx.shape[1];
    for_rows(pool_, dx.shape[0], d, nanoseconds_of_row(d), [&](std::int64_t token) {
      T* const to = dx.as<T>() + token * d;
      if (const T* from = slot_of(dy.as<T>(), dy.shape, expert, position, token)) {
        std::copy_n(from, d, to);
      } else {
        std::fill_n(to, d, T(0));
      }
    });
  });
}

void CpuBackend::route_combine(const In& x, const In& expert, const In& position, const In& gate, const Out& y) {
  const Observed seen = check::route_combine(*this, x, expert, position, gate, y);
  for_float("route_combine", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t d = y.shape[1];
    for_rows(pool_, y.shape[0], d, nanoseconds_of_row(d), [&](std::int64_t token) {
      T* const to = y.as<T>() + token * d;
      const T factor = gate.as<T>()[token];
      const T* from = slot_of(x.as<T>(), x.shape, expert, position, token);
      for (std::int64_t j = 0; j < d; ++j) to[j] = from == nullptr ? T(0) : factor * from[j];
    });
  });
}

void CpuBackend::route_combine_backward(const In& x, const In& slots, const In& expert, const In& position, const In& gate,
                                        const In& dy, const Out& dx, const Out& dgate) {
  const Observed seen = check::route_combine_backward(*this, x, slots, expert, position, gate, dy, dx, dgate);
  for_float("route_combine_backward", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t d = dy.shape[1];
    for_rows(pool_, slots.shape.count(), d, nanoseconds_of_row(d), [&](std::int64_t slot) {
      const std::int64_t token = slots.as<std::int32_t>()[slot];
      T* const to = dx.as<T>() + slot * d;
      if (token < 0) {
        std::fill_n(to, d, T(0));
      } else {
        const T* from = dy.as<T>() + token * d;
        for (std::int64_t j = 0; j < d; ++j) to[j] = gate.as<T>()[token] * from[j];
      }
    });
    for_rows(pool_, dy.shape[0], d, nanoseconds_of_row(d), [&](std::int64_t token) {
      const T* const row = slot_of(x.as<T>(), x.shape, expert, position, token);
      const T* g = dy.as<T>() + token * d;
      dgate.as<T>()[token] = row == nullptr ? T(0) : lane_sum<T>(d, [=](std::int64_t j) { return row[j] * g[j]; });
    });
  });
}

}  // namespace alma
