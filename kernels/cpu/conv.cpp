// Convolution over row_major images. f64 is Eigen's; f32 by plain loops over rows: correct for every geometry, not tuned as
// lanes16 is.
#include <algorithm>

#include "kernels/checks/conv.h"
#include "kernels/cpu/conv_lanes.h"
#include "kernels/cpu/conv_sizes.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/f64.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

double nanoseconds_of_plane(const ConvSizes& z, std::int64_t channels) {
  return 0.5 * static_cast<double>(channels * z.taps() * z.outputs());
}

using f64::bias_gradient;
using f64::data_gradient;
using f64::forward;
using f64::weight_gradient;

// One plane of y per (image, output channel).
void forward(ThreadPool* pool, const ConvSizes& z, const float* x, const float* filter, const float* bias, float* y) {
  for_pieces(pool, z.n * z.k, 1, nanoseconds_of_plane(z, z.group_c), [&](std::int64_t plane, std::int64_t) {
    const std::int64_t image = plane / z.k, k = plane % z.k, first = k / z.group_k * z.group_c;
    float* out = y + plane * z.outputs();
    std::fill_n(out, z.outputs(), bias == nullptr ? 0.0F : bias[k]);
    for (std::int64_t c = 0; c < z.group_c; ++c) {
      const float* in = x + (image * z.c + first + c) * z.h * z.w;
      const float* weights = filter + (k * z.group_c + c) * z.taps();
      z.rows_of_taps([&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) out[to + i] += in[from + i * z.g.stride_w] * weights[tap];
      });
    }
  });
}

// One plane of dx per (image, input channel).
void data_gradient(ThreadPool* pool, const ConvSizes& z, const float* dy, const float* filter, float* dx) {
  for_pieces(pool, z.n * z.c, 1, nanoseconds_of_plane(z, z.group_k), [&](std::int64_t plane, std::int64_t) {
    const std::int64_t image = plane / z.c, c = plane % z.c, first = c / z.group_c * z.group_k;
    float* out = dx + plane * z.h * z.w;
    std::fill_n(out, z.h * z.w, 0.0F);
    for (std::int64_t k = first; k < first + z.group_k; ++k) {
      const float* in = dy + (image * z.k + k) * z.outputs();
      const float* weights = filter + (k * z.group_c + c % z.group_c) * z.taps();
      z.rows_of_taps([&](std::int64_t tap, std::int64_t to, std::int64_t from, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) out[to + i * z.g.stride_w] += in[from + i] * weights[tap];
      });
    }
  });
}

// One kernel per (output channel, input channel of its group).
void weight_gradient(ThreadPool* pool, const ConvSizes& z, const float* x, const float* dy, float* dfilter) {
  for_pieces(pool, z.k * z.group_c, 1, nanoseconds_of_plane(z, z.n), [&](std::int64_t kernel, std::int64_t) {
    const std::int64_t k = kernel / z.group_c, c = k / z.group_k * z.group_c + kernel % z.group_c;
    float* out = dfilter + kernel * z.taps();
    std::fill_n(out, z.taps(), 0.0F);
    for (std::int64_t image = 0; image < z.n; ++image) {
      const float* in = x + (image * z.c + c) * z.h * z.w;
      const float* gradient = dy + (image * z.k + k) * z.outputs();
      z.rows_of_taps([&](std::int64_t tap, std::int64_t from, std::int64_t to, std::int64_t count) {
        float sum = 0;
        for (std::int64_t i = 0; i < count; ++i) sum += in[from + i * z.g.stride_w] * gradient[to + i];
        out[tap] += sum;
      });
    }
  });
}

// Per channel the sum over the images of the sums of planes.
void bias_gradient(ThreadPool* pool, const ConvSizes& z, const float* dy, float* dbias) {
  const std::int64_t plane = z.outputs();
  for_pieces(pool, z.k, 1, static_cast<double>(z.n * plane), [&](std::int64_t k, std::int64_t) {
    double sum = 0;
    for (std::int64_t image = 0; image < z.n; ++image)
      sum += lane_sum<float>(plane, [&](std::int64_t i) { return dy[(image * z.k + k) * plane + i]; });
    dbias[k] = static_cast<float>(sum);
  });
}

void require_f32_math(const char* op, Math math) {
  if (math != Math::f32) fail("[", op, "] the cpu computes in f32 or f64, got math ", name_of(math));
}

}  // namespace

void CpuBackend::conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y, Math math) {
  const char* op = "conv2d";
  const Observed seen = check::conv2d(*this, x, w, bias, geometry, y, math);
  require_f32_math(op, math);
  if (x.layout == Layout::lanes16) return conv_lanes(pool_, workspace_, x, w, bias, y);
  for_float(op, x.dtype, [&](auto type) {
    using T = decltype(type);
    forward(pool_, ConvSizes{x.shape, w.shape, y.shape, geometry}, x.as<T>(), w.as<T>(), bias.as<T>(), y.as<T>());
  });
}

void CpuBackend::conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx, Math math) {
  const char* op = "conv2d_data_gradient";
  const Observed seen = check::conv2d_data_gradient(*this, dy, w, geometry, dx, math);
  require_f32_math(op, math);
  if (dx.layout == Layout::lanes16) return conv_lanes_data_gradient(pool_, workspace_, dy, w, dx);
  for_float(op, dx.dtype, [&](auto type) {
    using T = decltype(type);
    data_gradient(pool_, ConvSizes{dx.shape, w.shape, dy.shape, geometry}, dy.as<T>(), w.as<T>(), dx.as<T>());
  });
}

void CpuBackend::conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw,
                                        const Out& dbias, Math math) {
  const char* op = "conv2d_weight_gradient";
  const Observed seen = check::conv2d_weight_gradient(*this, x, dy, geometry, dw, dbias, math);
  require_f32_math(op, math);
  if (x.layout == Layout::lanes16) return conv_lanes_weight_gradient(pool_, workspace_, x, dy, dw, dbias);
  for_float(op, x.dtype, [&](auto type) {
    using T = decltype(type);
    const ConvSizes sizes(x.shape, dw.shape, dy.shape, geometry);
    weight_gradient(pool_, sizes, x.as<T>(), dy.as<T>(), dw.as<T>());
    if (dbias) bias_gradient(pool_, sizes, dy.as<T>(), dbias.as<T>());
  });
}

}  // namespace alma
