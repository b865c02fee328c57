#include "kernels/cpu/pool_lanes.h"

#include "kernels/cpu/adaptive_windows.h"

namespace alma {
namespace {

using V = Vector<float>;
using Numbers = Vector<std::int32_t>;

/// Elements across and down a window of which the compiler knows the size, the usual 2 x 2.
struct Two {
  static constexpr std::int64_t height = 2, width = 2, stride = 2;
};

/// f(window) with a window of a known size, if it is one.
template <class F>
void with_window(const PoolWindow& window, const F& f) {
  window.height == 2 && window.width == 2 && window.stride == 2 ? f(Two{}) : f(window);
}

/// f(k, offset from the corner) for the elements of a window, row by row.
template <class Window, class F>
void for_elements(const Window& window, std::int64_t row, const F& f) {
  std::int32_t k = 0;
  for (std::int64_t i = 0; i < window.height; ++i)
    for (std::int64_t j = 0; j < window.width; ++j) f(k++, i * row + j * kImageLanes);
}

/// Largest elements of one window in one part of the lanes. The larger one wins; NaN wins over numbers and over
/// an earlier NaN.
template <bool Places, class Window>
V largest(const float* corner, std::int64_t row, const Window& window, Numbers& place) {
  V best = load_vector(corner);
  place = Numbers{};
  for_elements(window, row, [&](std::int32_t k, std::int64_t at) {
    const V value = load_vector(corner + at);
    const Numbers wins = (value > best) | (value != value);
    best = wins ? value : best;
    if constexpr (Places) place = wins ? Numbers{} + k : place;
  });
  return best;
}

/// Windows that leave no element out and share none.
template <class Window>
bool tile_exactly(const LaneImages& x, const Window& window) {
  return window.height == window.stride && window.width == window.stride && x.h % window.stride == 0 &&
         x.w % window.stride == 0;
}

/// f(plane) for all planes of all blocks.
template <class F>
void for_planes(ThreadPool* pool, const LaneImages& z, double nanoseconds, const F& f) {
  for_pieces(pool, z.blocks() * z.c, 1, nanoseconds, [&](std::int64_t plane, std::int64_t) { f(plane); });
}

/// f(offset in the pooled plane, offset of the window's corner in the plane of x) for the windows of row i and all
/// parts of lanes.
template <class Window, class F>
void for_windows(const LaneImages& x, const LaneImages& y, const Window& window, std::int64_t i, const F& f) {
  const std::int64_t to = y.inside() + i * y.row(), from = x.inside() + i * window.stride * x.row();
  for (std::int64_t j = 0; j < y.w; ++j)
    for (int part = 0; part < kLaneParts; ++part)
      f(to + j * kImageLanes + part * kLanes<float>, from + j * window.stride * kImageLanes + part * kLanes<float>);
}

template <class Window>
void max_pool_plane(const LaneImages& in, const LaneImages& out, const Window& window, const float* x, float* y,
                    std::uint8_t* places) {
  clear_halo(out, 0, out.h, y);
  for (std::int64_t i = 0; i < out.h; ++i)
    for_windows(in, out, window, i, [&](std::int64_t at, std::int64_t corner) {
      Numbers won;
      if (places == nullptr) {
        store_vector(y + at, largest<false>(x + corner, in.row(), window, won));
      } else {
        store_vector(y + at, largest<true>(x + corner, in.row(), window, won));
        store_bytes(places + at, won);
      }
    });
}

template <class Window>
void max_pool_plane_backward(const LaneImages& in, const LaneImages& out, const Window& window, const float* dy,
                             const std::uint8_t* places, float* dx) {
  const bool exact = tile_exactly(in, window);
  if (!exact) std::fill_n(dx, in.plane(), 0.0f);
  for (std::int64_t i = 0; i < out.h; ++i) {
    if (exact) clear_halo(in, i * window.stride, (i + 1) * window.stride, dx);
    for_windows(in, out, window, i, [&](std::int64_t at, std::int64_t corner) {
      const V slope = load_vector(dy + at);
      const Numbers won = load_bytes(places + at);
      for_elements(window, in.row(), [&](std::int32_t k, std::int64_t offset) {
        float* element = dx + corner + offset;
        const V share = won == k ? slope : V{};
        store_vector(element, exact ? share : V(load_vector(element) + share));
      });
    });
  }
}

}  // namespace

void max_pool_lanes(ThreadPool* pool, const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  const LaneImages in(x.shape), out(y.shape);
  const double nanoseconds = static_cast<double>(out.h * out.w * kLaneParts * window.height * window.width);
  for_planes(pool, out, nanoseconds, [&](std::int64_t plane) {
    with_window(window, [&](const auto& known) {
      max_pool_plane(in, out, known, x.as<float>() + plane * in.plane(), y.as<float>() + plane * out.plane(),
                     place ? place.as<std::uint8_t>() + plane * out.plane() : nullptr);
    });
  });
}

void max_pool_lanes_backward(ThreadPool* pool, const In& dy, const In& place, const PoolWindow& window, const Out& dx) {
  const LaneImages in(dx.shape), out(dy.shape);
  const double nanoseconds = static_cast<double>(out.h * out.w * kLaneParts * window.height * window.width + in.h * in.w);
  for_planes(pool, out, nanoseconds, [&](std::int64_t plane) {
    with_window(window, [&](const auto& known) {
      max_pool_plane_backward(in, out, known, dy.as<float>() + plane * out.plane(),
                              place.as<std::uint8_t>() + plane * out.plane(), dx.as<float>() + plane * in.plane());
    });
  });
}

void adaptive_average_pool_lanes(ThreadPool* pool, const In& x, const Out& y) {
  const LaneImages z(x.shape);
  const std::int64_t oh = y.shape[2], ow = y.shape[3], pooled = oh * ow;
  for_planes(pool, z, 8.0 * static_cast<double>(z.h * z.w), [&](std::int64_t plane) {
    const float* from = x.as<float>() + plane * z.plane() + z.inside();
    const std::int64_t block = plane / z.c, c = plane % z.c;
    float* to = y.as<float>() + (block * kImageLanes * z.c + c) * pooled;
    for_windows(z.h, z.w, oh, ow, [&](std::int64_t output, const Span& rows, const Span& columns) {
      double sums[kImageLanes] = {};
      for (std::int64_t i = rows.begin; i < rows.end; ++i)
        for (std::int64_t j = columns.begin; j < columns.end; ++j)
          for (std::int64_t lane = 0; lane < kImageLanes; ++lane) sums[lane] += from[i * z.row() + j * kImageLanes + lane];
      for (std::int64_t lane = 0; lane < z.lanes(block); ++lane)
        to[lane * z.c * pooled + output] = static_cast<float>(sums[lane] / elements<double>(rows, columns));
    });
  });
}

void adaptive_average_pool_lanes_backward(ThreadPool* pool, const In& dy, const Out& dx) {
  const LaneImages z(dx.shape);
  const std::int64_t oh = dy.shape[2], ow = dy.shape[3], pooled = oh * ow;
  for_planes(pool, z, 8.0 * static_cast<double>(z.h * z.w), [&](std::int64_t plane) {
    float* to = dx.as<float>() + plane * z.plane();
    std::fill_n(to, z.plane(), 0.0f);
    to += z.inside();
    const std::int64_t block = plane / z.c, c = plane % z.c;
    const float* from = dy.as<float>() + (block * kImageLanes * z.c + c) * pooled;
    for_windows(z.h, z.w, oh, ow, [&](std::int64_t output, const Span& rows, const Span& columns) {
      float shares[kImageLanes] = {};
      for (std::int64_t lane = 0; lane < z.lanes(block); ++lane)
        shares[lane] = from[lane * z.c * pooled + output] / elements<float>(rows, columns);
      for (std::int64_t i = rows.begin; i < rows.end; ++i)
        for (std::int64_t j = columns.begin; j < columns.end; ++j)
          for (std::int64_t lane = 0; lane < kImageLanes; ++lane) to[i * z.row() + j * kImageLanes + lane] += shares[lane];
    });
  });
}

}  // namespace alma
