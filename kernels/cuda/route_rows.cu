// Tokens to their experts and back, by gather: a warp moves a row, each row is read once.
#include "kernels/cuda/launch.h"

#include "kernels/checks/routing.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/reductions.h"

namespace alma {
namespace {

constexpr int kBlock = 256, kRows = kBlock / kWarp;

struct RoutedRows {
  const std::int32_t* slots;  // [experts * capacity]
  const std::int32_t* expert;
  const std::int32_t* position;
  const float* gate;
  std::int64_t tokens, capacity, all_slots, d;
  bool aligned;  // every row of the arguments

  /// The slot of a token; -1: beyond the capacity.
  __device__ std::int64_t slot_of(std::int64_t token) const {
    const std::int64_t place = load<std::int32_t>(position + token);
    return place < 0 ? -1 : load<std::int32_t>(expert + token) * capacity + place;
  }
};

__device__ __forceinline__ std::int64_t row_of_warp() { return std::int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp; }

// to = factor * from, or zeros where from is null; called by a warp.
__device__ void move_row(const float* from, float factor, float* to, const RoutedRows& r) {
  for (std::int64_t j = kPack * (threadIdx.x % kWarp); j < r.d; j += kPack * kWarp)
    store_pack(to + j, from == nullptr ? Pack<kPack>{} : scaled(load_pack(from + j, r.d - j, r.aligned), factor), r.d - j,
               r.aligned);
}

__global__ void __launch_bounds__(kBlock) dispatch_kernel(const float* x, float* y, RoutedRows r) {
  const std::int64_t slot = row_of_warp();
  if (slot >= r.all_slots) return;
  const std::int64_t token = load<std::int32_t>(r.slots + slot);
  move_row(token < 0 ? nullptr : x + token * r.d, 1, y + slot * r.d, r);
}

// Rows back to their tokens, times the gate if there is one.
__global__ void __launch_bounds__(kBlock) combine_kernel(const float* x, float* y, RoutedRows r) {
  const std::int64_t token = row_of_warp();
  if (token >= r.tokens) return;
  const std::int64_t slot = r.slot_of(token);
  move_row(slot < 0 ? nullptr : x + slot * r.d, r.gate == nullptr ? 1.0f : load<float>(r.gate + token), y + token * r.d, r);
}

// Warps of tokens, each of which owns its slot, then warps of slots, which clear the empty ones.
__global__ void __launch_bounds__(kBlock)
    combine_backward_kernel(const float* x, const float* dy, float* dx, float* dgate, RoutedRows r) {
  const std::int64_t token = row_of_warp(), empty = token - r.tokens;
  if (empty >= 0) {
    if (empty < r.all_slots && load<std::int32_t>(r.slots + empty) < 0) move_row(nullptr, 0, dx + empty * r.d, r);
    return;
  }
  const std::int64_t slot = r.slot_of(token);
  const float gate = load<float>(r.gate + token);
  float sum = 0;
  if (slot >= 0) {
    for (std::int64_t j = kPack * (threadIdx.x % kWarp); j < r.d; j += kPack * kWarp) {
      const Pack<kPack> cotangent = load_pack(dy + token * r.d + j, r.d - j, r.aligned);
      sum = add_product(load_pack(x + slot * r.d + j, r.d - j, r.aligned), cotangent, sum);
      store_pack(dx + slot * r.d + j, scaled(cotangent, gate), r.d - j, r.aligned);
    }
  }
  sum = warp_reduce<kWarp>(sum, Sum{});
  if (threadIdx.x % kWarp == 0) store<float>(dgate + token, sum);
}

/// `moved`: the arrays whose rows are read and written.
RoutedRows routed_rows(const In& slotted, const In& rows, const In& slots, const In& expert, const In& position,
                       const In& gate, std::initializer_list<In> moved) {
  const Shape& s = slotted.shape;
  RoutedRows r{slots.as<std::int32_t>(),
               expert.as<std::int32_t>(),
               position.as<std::int32_t>(),
               gate.as<float>(),
               rows.shape[0],
               s[1],
               s[0] * s[1],
               s[2],
               s[2] % kPack == 0};
  for (const In& array : moved) r.aligned = r.aligned && aligned16(array.data);
  return r;
}

}  // namespace

void CudaBackend::route_dispatch(const In& x, const In& slots, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::route_dispatch(*this, x, slots, y);
  require_f32("route_dispatch", x);
  if (y.shape.count() == 0) return;
  const RoutedRows r = routed_rows(y, x, slots, {}, {}, {}, {x, y});
  launch(dispatch_kernel, blocks_for(r.all_slots, kRows), kBlock, 0, stream_, x.as<float>(), y.as<float>(), r);
}

void CudaBackend::route_dispatch_backward(const In& dy, const In& expert, const In& position, const Out& dx) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::route_dispatch_backward(*this, dy, expert, position, dx);
  require_f32("route_dispatch_backward", dy);
  if (dx.shape.count() == 0) return;
  const RoutedRows r = routed_rows(dy, dx, {}, expert, position, {}, {dy, dx});
  launch(combine_kernel, blocks_for(r.tokens, kRows), kBlock, 0, stream_, dy.as<float>(), dx.as<float>(), r);
}

void CudaBackend::route_combine(const In& x, const In& expert, const In& position, const In& gate, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::route_combine(*this, x, expert, position, gate, y);
  require_f32("route_combine", x);
  if (y.shape.count() == 0) return;
  const RoutedRows r = routed_rows(x, y, {}, expert, position, gate, {x, y});
  launch(combine_kernel, blocks_for(r.tokens, kRows), kBlock, 0, stream_, x.as<float>(), y.as<float>(), r);
}

void CudaBackend::route_combine_backward(const In& x, const In& slots, const In& expert, const In& position, const In& gate,
                                         const In& dy, const Out& dx, const Out& dgate) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::route_combine_backward(*this, x, slots, expert, position, gate, dy, dx, dgate);
  require_f32("route_combine_backward", x);
  const RoutedRows r = routed_rows(x, dy, slots, expert, position, gate, {x, dy, dx});
  if (r.tokens + r.all_slots == 0) return;
  launch(combine_backward_kernel, blocks_for(r.tokens + r.all_slots, kRows), kBlock, 0, stream_, x.as<float>(),
         dy.as<float>(), dx.as<float>(), dgate.as<float>(), r);
}

}  // namespace alma
