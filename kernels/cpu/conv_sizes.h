#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {

/// The sizes of a convolution over row_major images, and the walk over its taps.
struct ConvSizes {
  std::int64_t n, c, h, w, k, r, s, out_h, out_w, group_c, group_k;
  ConvGeometry g;

  ConvSizes(const Shape& x, const Shape& filter, const Shape& y, const ConvGeometry& geometry)
      : n(x[0]),
        c(x[1]),
        h(x[2]),
        w(x[3]),
        k(filter[0]),
        r(filter[2]),
        s(filter[3]),
        out_h(y[2]),
        out_w(y[3]),
        group_c(c / geometry.groups),
        group_k(k / geometry.groups),
        g(geometry) {}

  std::int64_t taps() const { return r * s; }
  std::int64_t outputs() const { return out_h * out_w; }

  /// Calls row(tap, x, y, count) for each tap of the kernel and each row of outputs that it reaches: `count` neighbours of y
  /// from index y on in a plane of outputs go with every stride_w-th of x from index x on in a plane of inputs.
  template <class Row>
  void rows_of_taps(const Row& row) const {
    for (std::int64_t i = 0; i < r; ++i) {
      const Span down = outputs_of_tap(i, h, out_h, g.stride_h, g.padding_h);
      for (std::int64_t j = 0; j < s; ++j) {
        const Span across = outputs_of_tap(j, w, out_w, g.stride_w, g.padding_w);
        if (across.end <= across.begin) continue;
        for (std::int64_t o = down.begin; o < down.end; ++o) {
          const std::int64_t line = o * g.stride_h + i - g.padding_h;
          row(i * s + j, line * w + across.begin * g.stride_w + j - g.padding_w, o * out_w + across.begin,
              across.end - across.begin);
        }
      }
    }
  }

 private:
  /// The outputs [begin, end) along one dimension for which a tap of the kernel lies within the image.
  struct Span {
    std::int64_t begin, end;
  };
  static Span outputs_of_tap(std::int64_t tap, std::int64_t size, std::int64_t outputs, std::int64_t stride,
                             std::int64_t padding) {
    const std::int64_t before = padding - tap, last = size - 1 + padding - tap;
    return {before > 0 ? ceil_divide(before, stride) : 0, last < 0 ? 0 : std::min(outputs, last / stride + 1)};
  }
};

}  // namespace alma
