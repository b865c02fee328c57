#include <cmath>
#include <limits>

#include "kernels/checks/gather.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/lanes_rows.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pixels.h"
#include "kernels/random_cut.h"

namespace alma {
namespace {

#ifdef FP_FAST_FMAF
constexpr bool kFusedInHardware = true;
#else
constexpr bool kFusedInHardware = false;
#endif

/// Whether pixel * scale + shift is exact in f64 for every pixel, so that rounding that to f32 rounds once: from the highest
/// bit of either term to the lowest of 24 are at most 53.
bool exact_in_f64(float scale, float shift) {
  if (!std::isfinite(scale) || !std::isfinite(shift)) return false;
  if (scale == 0 || shift == 0) return true;
  const int of_scale = std::ilogb(scale), of_shift = std::ilogb(shift);
  return std::max(of_scale + 9, of_shift + 1) - (std::min(of_scale, of_shift) - 23) < 53;
}

/// x[i] = pixels[i] * scale + shift, rounded once.
void normalise(const std::uint8_t* __restrict pixels, std::int64_t n, float scale, float shift, float* __restrict x) {
  if constexpr (kFusedInHardware) {
    const Vector<float> scales = Vector<float>{} + scale, shifts = Vector<float>{} + shift;
    std::int64_t i = 0;
    for (; i + kLanes<float> <= n; i += kLanes<float>)
      store_vector(x + i, fused_multiply_add(load_pixels(pixels + i), scales, shifts));
    for (; i < n; ++i) x[i] = std::fma(static_cast<float>(pixels[i]), scale, shift);
  } else if (exact_in_f64(scale, shift)) {  // fma is a library call here
    typedef double Doubles __attribute__((vector_size(2 * kVectorBytes)));
    const double a = scale, b = shift;
    std::int64_t i = 0;
    for (; i + kLanes<float> <= n; i += kLanes<float>)
      store_vector(x + i,
                   __builtin_convertvector(__builtin_convertvector(load_bytes(pixels + i), Doubles) * a + b, Vector<float>));
    for (; i < n; ++i) x[i] = static_cast<float>(pixels[i] * a + b);
  } else {
    for (std::int64_t i = 0; i < n; ++i) x[i] = std::fma(static_cast<float>(pixels[i]), scale, shift);
  }
}

/// In f64 the product of 8 and 24 bits is exact, so plain arithmetic rounds once too.
void normalise(const std::uint8_t* __restrict pixels, std::int64_t n, float scale, float shift, double* __restrict x) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<double>(pixels[i]) * scale + shift;
}

/// One row of a plane of h x w pixels, cut out of its padding.
template <class T>
void normalise_cut(const std::uint8_t* pixels, std::int64_t h, std::int64_t w, float scale, float shift, T fill,
                   const RandomCut& cut, std::int64_t row, T* x) {
  const std::int64_t from = row + cut.row;
  // Columns begin .. end of the cut lie within the image.
  const std::int64_t begin = std::clamp<std::int64_t>(-cut.column, 0, w);
  const std::int64_t end = std::clamp<std::int64_t>(w - cut.column, begin, w);
  if (from < 0 || from >= h || begin == end) {
    std::fill_n(x, w, fill);
    return;
  }
  std::fill_n(x, begin, fill);
  normalise(pixels + from * w + begin + cut.column, end - begin, scale, shift, x + begin);
  std::fill_n(x + end, w - end, fill);
  if (cut.mirrored) std::reverse(x, x + w);
}

template <class T>
constexpr T not_there() {
  if constexpr (std::numeric_limits<T>::has_quiet_NaN) return std::numeric_limits<T>::quiet_NaN();
  return T(-1);
}

/// Images that lie anywhere in a large set: the processor does not guess the next one.
void prefetch_image(const std::uint8_t* image, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(image + i);
}

void mirror(float* x, std::int64_t n) {
  constexpr int lanes = kLanes<float>;
  const auto reversed = [](const float* from) {
    const auto at = []<int... I>(std::integer_sequence<int, I...>) { return Vector<std::int32_t>{lanes - 1 - I...}; };
    return __builtin_shuffle(load_vector(from), at(std::make_integer_sequence<int, lanes>{}));
  };
  for (; n >= 2 * lanes; x += lanes, n -= 2 * lanes) {
    const Vector<float> first = reversed(x), last = reversed(x + n - lanes);
    store_vector(x, last);
    store_vector(x + n - lanes, first);
  }
  std::reverse(x, x + n);
}

/// One block of images in lanes16: a row of each becomes floats between its padding, and then lanes.
class BlockOfImages {
 public:
  /// `floats` has room for kImageLanes rows of row_floats().
  BlockOfImages(const In& from, const In& classes, const In& indices, std::int64_t first, std::int64_t lanes,
                const PixelScale& scale, const ImageAugmentation& cut, std::int32_t* y, float* floats)
      : images_(from), pixels_(scale), augmentation_(cut), lanes_(lanes), floats_(floats) {
    const std::int64_t width = images_.shape[1] * images_.shape[2] * images_.shape[3];
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const std::int64_t i = indices.as<std::int32_t>()[first + lane];
      index_[lane] = i >= 0 && i < images_.shape[0] ? i : -1;
      y[first + lane] = index_[lane] < 0 ? -1 : classes.as<std::int32_t>()[i];
      if (index_[lane] >= 0) prefetch_image(images_.as<std::uint8_t>() + i * width, width);
      if (augmentation_) cuts_[lane] = random_cut(augmentation_, augmentation_.place.state->step, first + lane);
    }
  }
  static std::int64_t row_floats(std::int64_t w, const ImageAugmentation& cut) { return w + 2 * cut.pad; }

  /// Channel c, into its plane of lanes16.
  void channel(const LaneImages& z, std::int64_t c, float* plane) const {
    // What the rows of pixels leave as it is.
    const float fill = augmentation_ ? augmentation_.fill[c] : 0.0f;
    std::fill_n(floats_, lanes_ * row_floats(z.w, augmentation_), fill);
    for (std::int64_t row = 0; row < z.h; ++row) {
      for (std::int64_t lane = 0; lane < lanes_; ++lane) fill_row(z, lane, c, row, fill);
      rows_to_lanes([&](int lane) { return row_of(z, lane); }, lanes_, z.w, plane + z.inside() + row * z.row());
    }
  }

 private:
  float* floats_of(const LaneImages& z, std::int64_t lane) const { return floats_ + lane * row_floats(z.w, augmentation_); }
  /// The cut out of a row and its padding, which is mirrored as a whole.
  const float* row_of(const LaneImages& z, std::int64_t lane) const {
    const RandomCut& cut = cuts_[lane];
    return floats_of(z, lane) + augmentation_.pad + (cut.mirrored ? -cut.column : cut.column);
  }
  void fill_row(const LaneImages& z, std::int64_t lane, std::int64_t c, std::int64_t row, float fill) const {
    const std::int64_t from = row + cuts_[lane].row;
    float* x = floats_of(z, lane) + augmentation_.pad;
    if (index_[lane] < 0) {
      std::fill_n(x - augmentation_.pad, row_floats(z.w, augmentation_), not_there<float>());
    } else if (from < 0 || from >= z.h) {
      std::fill_n(x, z.w, fill);
    } else {
      const std::uint8_t* pixels = images_.as<std::uint8_t>() + ((index_[lane] * z.c + c) * z.h + from) * z.w;
      normalise(pixels, z.w, pixels_.scale[c], pixels_.shift[c], x);
      if (cuts_[lane].mirrored) mirror(x, z.w);
    }
  }

  const In& images_;
  const PixelScale& pixels_;
  const ImageAugmentation& augmentation_;
  std::int64_t lanes_;
  float* floats_;
  std::int64_t index_[kImageLanes] = {};  // -1: none there
  RandomCut cuts_[kImageLanes] = {};
};

void gather_lanes(ThreadPool* pool, const In& images, const In& labels, const In& indices, const PixelScale& pixels,
                  const Out& x, const Out& y, const ImageAugmentation& augmentation, float* rows) {
  const LaneImages z(x.shape);
  const double nanoseconds = 8.0 * static_cast<double>(z.c * z.h * z.w) + 200;
  for_pieces(pool, z.blocks(), 1, nanoseconds, [&](std::int64_t block, std::int64_t) {
    const BlockOfImages of_block(images, labels, indices, block * kImageLanes, z.lanes(block), pixels, augmentation,
                                 y.as<std::int32_t>(),
                                 rows + block * kImageLanes * BlockOfImages::row_floats(z.w, augmentation));
    for (std::int64_t c = 0; c < z.c; ++c) {
      float* plane = x.as<float>() + (block * z.c + c) * z.plane();
      clear_halo(z, 0, z.h, plane);
      of_block.channel(z, c, plane);
    }
  });
}

template <class T>
void copy_rows(ThreadPool* pool, const In& table, const In& indices, const Out& y) {
  const std::int64_t count = table.shape[0], n = table.shape[1];
  const double nanoseconds = 0.3 * static_cast<double>(n) + 5;
  for_pieces(pool, indices.shape[0], rows_per_piece(n), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t index = indices.as<std::int32_t>()[i];
      if (index >= 0 && index < count) {
        std::copy_n(table.as<T>() + index * n, n, y.as<T>() + i * n);
      } else {
        std::fill_n(y.as<T>() + i * n, n, not_there<T>());
      }
    }
  });
}

}  // namespace

void CpuBackend::gather_images(const In& images, const In& labels, const In& indices, const PixelScale& pixels, const Out& x,
                               const Out& y, const ImageAugmentation& augmentation) {
  const Observed seen = check::gather_images(*this, images, labels, indices, x, y, augmentation);
  if (x.layout == Layout::lanes16) {
    const LaneImages z(x.shape);
    float* rows = workspace_.take<float>(z.blocks() * kImageLanes * BlockOfImages::row_floats(z.w, augmentation));
    return gather_lanes(pool_, images, labels, indices, pixels, x, y, augmentation, rows);
  }
  for_float("gather_images", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t count = images.shape[0], channels = images.shape[1], plane = images.shape[2] * images.shape[3];
    const std::int64_t width = channels * plane;
    const double nanoseconds = 0.2 * static_cast<double>(width) + 20;
    for_pieces(pool_, indices.shape[0], rows_per_piece(width), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      constexpr std::int64_t ahead = 4;
      for (std::int64_t i = begin; i < end; ++i) {
        if (i + ahead < end) {
          const std::int64_t next = indices.as<std::int32_t>()[i + ahead];
          if (next >= 0 && next < count) prefetch_image(images.as<std::uint8_t>() + next * width, width);
        }
        const std::int64_t index = indices.as<std::int32_t>()[i];
        T* out = x.as<T>() + i * width;
        if (index < 0 || index >= count) {
          std::fill_n(out, width, not_there<T>());
          y.as<std::int32_t>()[i] = -1;
          continue;
        }
        const std::uint8_t* image = images.as<std::uint8_t>() + index * width;
        if (augmentation) {
          const RandomCut cut = random_cut(augmentation, augmentation.place.state->step, i);
          const std::int64_t h = images.shape[2], w = images.shape[3];
          for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t row = 0; row < h; ++row)
              normalise_cut(image + c * plane, h, w, pixels.scale[c], pixels.shift[c], static_cast<T>(augmentation.fill[c]),
                            cut, row, out + c * plane + row * w);
        } else {
          for (std::int64_t c = 0; c < channels; ++c)
            normalise(image + c * plane, plane, pixels.scale[c], pixels.shift[c], out + c * plane);
        }
        y.as<std::int32_t>()[i] = labels.as<std::int32_t>()[index];
      }
    });
  });
}

void CpuBackend::gather_rows(const In& table, const In& indices, const Out& y) {
  const Observed seen = check::gather_rows(*this, table, indices, y);
  if (table.dtype == DType::i32) return copy_rows<std::int32_t>(pool_, table, indices, y);
  for_float("gather_rows", table.dtype, [&](auto type) { copy_rows<decltype(type)>(pool_, table, indices, y); });
}

void CpuBackend::scatter_add_rows(const In& dy, const In& indices, const Out& table) {
  const Observed seen = check::scatter_add_rows(*this, dy, indices, table);
  for_float("scatter_add_rows", table.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t count = table.shape[0], n = table.shape[1], m = indices.shape[0];
    // Rows of the table can repeat, columns cannot: pieces of columns, each in the order of i.
    for_pieces(pool_, n, 64, 0.4 * static_cast<double>(m), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < m; ++i) {
        const std::int64_t index = indices.as<std::int32_t>()[i];
        if (index < 0 || index >= count) continue;
        const T* __restrict from = dy.as<T>() + i * n;
        T* __restrict to = table.as<T>() + index * n;
        for (std::int64_t j = begin; j < end; ++j) to[j] += from[j];
      }
    });
  });
}

}  // namespace alma
