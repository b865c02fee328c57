#pragma once
// Warp operations: shuffles, votes, reductions. Included by simt.h.

namespace alma::sim {

template <class F>
inline void for_lanes(std::uint32_t lanes, F&& f) {
  for (; lanes != 0; lanes &= lanes - 1) f(static_cast<std::uint32_t>(__builtin_ctz(lanes)));
}
template <class T>
const T& lane_in(const Warp& warp, std::uint32_t lane) {
  return *static_cast<const T*>(warp.lanes[lane].in);
}
template <class T>
T& lane_out(const Warp& warp, std::uint32_t lane) {
  return *static_cast<T*>(warp.lanes[lane].out);
}

/// Names __syncwarp, the one operation that is documented to order memory.
inline constexpr char syncwarp_key = 0;

/// What all warp operations rest on. Each lane of `mask` leaves pointers to its input and output and waits; the last one
/// calls `compute(warp, lanes)`, which fills the outputs of all, and lets the others go. (Stacks of waiting lanes stay
/// alive, so plain pointers do.) `operation` is the same for lanes that take part in the same kind of operation.
template <class Input, class Output, class Compute>
Output warp_operation(std::uint32_t mask, const Input& in, const void* operation, Site site, Compute&& compute) {
  Thread& self = *here.thread;
  Warp& warp = *self.warp;
  const std::uint32_t lanes = mask & warp.present;
  if ((mask >> self.lane & 1) == 0) fail_in_kernel("a lane calls a warp operation whose mask does not name it", site);
  if ((lanes & warp.exited) != 0) fail_in_kernel("the mask of a warp operation names a lane that has exited", site);
  Output out{};
  self.in = &in;
  self.out = &out;
  self.mask = mask;
  self.operation = operation;
  warp.arrived |= 1u << self.lane;
  if ((warp.arrived & lanes) != lanes) {
    wait_in_warp(site);
    return out;
  }
  for_lanes(lanes, [&](std::uint32_t lane) {
    const Thread& other = warp.lanes[lane];
    if (other.mask != mask || other.operation != operation)
      fail_in_kernel("lanes of one warp meet in different operations or with different masks", site);
  });
  compute(warp, lanes);
  if (here.watch != nullptr) [[unlikely]]
    look_at_warp_operation(warp, lanes, operation == &syncwarp_key);
  warp.arrived &= ~lanes;
  release_lanes(warp, lanes & ~(1u << self.lane));
  return out;
}

/// Its address names an operation on values of type T.
template <int kind, class T>
inline constexpr char operation_key = 0;

enum ShuffleKind { shuffle_index, shuffle_up, shuffle_down, shuffle_xor };

template <class T>
struct ShuffleInput {
  T value;
  int operand, width;
};

template <ShuffleKind kind, class T>
T shuffle(std::uint32_t mask, T value, int operand, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4 or 8 bytes");
  const auto compute = [site](const Warp& warp, std::uint32_t lanes) {
    for_lanes(lanes, [&](std::uint32_t lane) {
      const auto& in = lane_in<ShuffleInput<T>>(warp, lane);
      if (in.width < 1 || in.width > 32 || (in.width & (in.width - 1)) != 0)
        fail_in_kernel("the width of a shuffle must be a power of two up to 32", site);
      const int self = static_cast<int>(lane), first = self & ~(in.width - 1);
      int from = self;
      if constexpr (kind == shuffle_index) from = first + (in.operand & (in.width - 1));
      if constexpr (kind == shuffle_up) from = self - in.operand;
      if constexpr (kind == shuffle_down) from = self + in.operand;
      if constexpr (kind == shuffle_xor) from = self ^ in.operand;
      // A source outside the segment gives the lane's own value; xor may reach into earlier segments.
      if (from >= first + in.width || (kind != shuffle_xor && from < first) || from < 0) from = self;
      if ((lanes >> from & 1) == 0) fail_in_kernel("a shuffle reads a lane that takes no part in it", site);
      lane_out<T>(warp, lane) = lane_in<ShuffleInput<T>>(warp, static_cast<std::uint32_t>(from)).value;
    });
  };
  return warp_operation<ShuffleInput<T>, T>(mask, {value, operand, width}, &operation_key<kind, T>, site, compute);
}

/// Combines the values of all lanes in order of the lanes and gives everyone the result.
template <int kind, class T, class F>
T reduce_lanes(std::uint32_t mask, T value, Site site, F combine) {
  const auto compute = [combine](const Warp& warp, std::uint32_t lanes) {
    T total = lane_in<T>(warp, static_cast<std::uint32_t>(__builtin_ctz(lanes)));
    for_lanes(lanes & (lanes - 1), [&](std::uint32_t lane) { total = combine(total, lane_in<T>(warp, lane)); });
    for_lanes(lanes, [&](std::uint32_t lane) { lane_out<T>(warp, lane) = total; });
  };
  return warp_operation<T, T>(mask, value, &operation_key<kind, T>, site, compute);
}

inline std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site) {
  const std::uint32_t own = predicate ? 1u << here.thread->lane : 0u;
  return reduce_lanes<10>(mask, own, site, [](std::uint32_t a, std::uint32_t b) { return a | b; });
}

}  // namespace alma::sim

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::shuffle<alma::sim::shuffle_index>(mask, value, lane, width, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::shuffle<alma::sim::shuffle_up>(mask, value, static_cast<int>(delta), width, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::shuffle<alma::sim::shuffle_down>(mask, value, static_cast<int>(delta), width, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::shuffle<alma::sim::shuffle_xor>(mask, value, bits, width, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::ballot(mask, predicate == 0, site) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, alma::sim::Site site = alma::sim::Site::current()) {
  alma::sim::warp_operation<char, char>(mask, 0, &alma::sim::syncwarp_key, site,
                                        [](const alma::sim::Warp&, std::uint32_t) {});
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::reduce_lanes<12>(mask, value, site, [](unsigned a, unsigned b) { return a + b; });
}
inline int __reduce_add_sync(unsigned mask, int value, alma::sim::Site site = alma::sim::Site::current()) {
  return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value), site));
}
inline int __reduce_min_sync(unsigned mask, int value, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::reduce_lanes<13>(mask, value, site, [](int a, int b) { return a < b ? a : b; });
}
inline int __reduce_max_sync(unsigned mask, int value, alma::sim::Site site = alma::sim::Site::current()) {
  return alma::sim::reduce_lanes<14>(mask, value, site, [](int a, int b) { return a > b ? a : b; });
}
