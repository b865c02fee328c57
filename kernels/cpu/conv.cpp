// Convolution by plain loops over rows: correct for every geometry, not yet tuned.
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cpu/conv_lanes.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

// The outputs [begin, end) along one dimension for which a tap of the kernel lies within the image.
struct Span {
  std::int64_t begin, end;
};
Span outputs_of_tap(std::int64_t tap, std::int64_t size, std::int64_t outputs, std::int64_t stride, std::int64_t padding) {
  const std::int64_t before = padding - tap, last = size - 1 + padding - tap;
  return {before > 0 ? ceil_divide(before, stride) : 0, last < 0 ? 0 : std::min(outputs, last / stride + 1)};
}

struct Sizes {
  std::int64_t n, c, h, w, k, r, s, out_h, out_w, group_c, group_k;
  ConvGeometry g;

  Sizes(const Shape& x, const Shape& filter, const Shape& y, const ConvGeometry& geometry)
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
  double nanoseconds_of_plane(std::int64_t channels) const {
    return 0.5 * static_cast<double>(channels * r * s * out_h * out_w);
  }
};

// One plane of y per (image, output channel).
template <class T>
void forward(ThreadPool* pool, const Sizes& z, const T* x, const T* filter, const T* bias, T* y) {
  for_pieces(pool, z.n * z.k, 1, z.nanoseconds_of_plane(z.group_c), [&](std::int64_t plane, std::int64_t) {
    const std::int64_t image = plane / z.k, k = plane % z.k, first = k / z.group_k * z.group_c;
    T* out = y + plane * z.out_h * z.out_w;
    std::fill_n(out, z.out_h * z.out_w, bias == nullptr ? T(0) : bias[k]);
    for (std::int64_t c = 0; c < z.group_c; ++c) {
      const T* in = x + (image * z.c + first + c) * z.h * z.w;
      const T* weights = filter + (k * z.group_c + c) * z.r * z.s;
      z.rows_of_taps([&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) out[to + i] += in[from + i * z.g.stride_w] * weights[tap];
      });
    }
  });
}

// One plane of dx per (image, input channel).
template <class T>
void data_gradient(ThreadPool* pool, const Sizes& z, const T* dy, const T* filter, T* dx) {
  for_pieces(pool, z.n * z.c, 1, z.nanoseconds_of_plane(z.group_k), [&](std::int64_t plane, std::int64_t) {
    const std::int64_t image = plane / z.c, c = plane % z.c, first = c / z.group_c * z.group_k;
    T* out = dx + plane * z.h * z.w;
    std::fill_n(out, z.h * z.w, T(0));
    for (std::int64_t k = first; k < first + z.group_k; ++k) {
      const T* in = dy + (image * z.k + k) * z.out_h * z.out_w;
      const T* weights = filter + (k * z.group_c + c % z.group_c) * z.r * z.s;
      z.rows_of_taps([&](std::int64_t tap, std::int64_t to, std::int64_t from, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) out[to + i * z.g.stride_w] += in[from + i] * weights[tap];
      });
    }
  });
}

// One kernel per (output channel, input channel of its group).
template <class T>
void weight_gradient(ThreadPool* pool, const Sizes& z, const T* x, const T* dy, T* dfilter) {
  for_pieces(pool, z.k * z.group_c, 1, z.nanoseconds_of_plane(z.n), [&](std::int64_t kernel, std::int64_t) {
    const std::int64_t k = kernel / z.group_c, c = k / z.group_k * z.group_c + kernel % z.group_c;
    T* out = dfilter + kernel * z.r * z.s;
    std::fill_n(out, z.r * z.s, T(0));
    for (std::int64_t image = 0; image < z.n; ++image) {
      const T* in = x + (image * z.c + c) * z.h * z.w;
      const T* gradient = dy + (image * z.k + k) * z.out_h * z.out_w;
      z.rows_of_taps([&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t count) {
        T sum = 0;
        for (std::int64_t i = 0; i < count; ++i) sum += in[from + i * z.g.stride_w] * gradient[to + i];
        out[tap] += sum;
      });
    }
  });
}

// Per channel the sum over the images of the sums of planes.
template <class T>
void bias_gradient(ThreadPool* pool, const Sizes& z, const T* dy, T* dbias) {
  const std::int64_t plane = z.out_h * z.out_w;
  for_pieces(pool, z.k, 1, static_cast<double>(z.n * plane), [&](std::int64_t k, std::int64_t) {
    double sum = 0;
    for (std::int64_t image = 0; image < z.n; ++image)
      sum += lane_sum<T>(plane, [&](std::int64_t i) { return dy[(image * z.k + k) * plane + i]; });
    dbias[k] = static_cast<T>(sum);
  });
}

void require_f32_math(const char* op, Math math) {
  if (math != Math::f32) fail("[", op, "] the cpu computes in f32 or f64, got math ", name_of(math));
}

}  // namespace

void CpuBackend::conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y, Math math) {
  const char* op = "conv2d";
  check::conv2d(op, {x, w, y, "x", "w", "y", bias, "bias"}, geometry, math);
  require_f32_math(op, math);
  if (x.layout == Layout::lanes16) return conv_lanes(pool_, workspace_, x, w, bias, y);
  for_float(op, x.dtype, [&](auto type) {
    using T = decltype(type);
    forward<T>(pool_, {x.shape, w.shape, y.shape, geometry}, x.as<T>(), w.as<T>(), bias.as<T>(), y.as<T>());
  });
}

void CpuBackend::conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx, Math math) {
  const char* op = "conv2d_data_gradient";
  check::conv2d(op, {dx, w, dy, "dx", "w", "dy"}, geometry, math);
  require_f32_math(op, math);
  if (dx.layout == Layout::lanes16) return conv_lanes_data_gradient(pool_, workspace_, dy, w, dx);
  for_float(op, dx.dtype, [&](auto type) {
    using T = decltype(type);
    data_gradient<T>(pool_, {dx.shape, w.shape, dy.shape, geometry}, dy.as<T>(), w.as<T>(), dx.as<T>());
  });
}

void CpuBackend::conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw,
                                        const Out& dbias, Math math) {
  const char* op = "conv2d_weight_gradient";
  check::conv2d(op, {x, dw, dy, "x", "dw", "dy", dbias, "dbias"}, geometry, math);
  require_f32_math(op, math);
  if (x.layout == Layout::lanes16) return conv_lanes_weight_gradient(pool_, workspace_, x, dy, dw, dbias);
  for_float(op, x.dtype, [&](auto type) {
    using T = decltype(type);
    const Sizes sizes(x.shape, dw.shape, dy.shape, geometry);
    weight_gradient<T>(pool_, sizes, x.as<T>(), dy.as<T>(), dw.as<T>());
    if (dbias) bias_gradient<T>(pool_, sizes, dy.as<T>(), dbias.as<T>());
  });
}

}  // namespace alma
