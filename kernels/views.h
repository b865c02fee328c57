#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "base/error.h"
#include "kernels/bf16.h"

namespace alma {

/// Element types. f32 and f64 compute; bf16 enters cast() and the products of cuda; i32 holds labels and indices; u8 is
/// storage for pixels and places in pooling windows.
enum class DType : std::uint8_t { f32, f64, bf16, i32, u8 };

constexpr std::size_t size_of(DType type) {
  switch (type) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::bf16: return 2;
    case DType::i32: return 4;
    case DType::u8: return 1;
  }
  return 0;
}

constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
  }
  return "?";
}

inline std::ostream& operator<<(std::ostream& out, DType type) { return out << name_of(type); }

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<Bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

/// Sizes of a dense row-major array, outermost first. Rank 0 is a scalar (one element).
class Shape {
 public:
  static constexpr int max_rank = 5;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    if (sizes.size() > max_rank) fail("[shape] at most 5 dimensions, got ", sizes.size());
    for (std::int64_t size : sizes) push_back(size);
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return sizes_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return sizes_[static_cast<std::size_t>(i)]; }
  void push_back(std::int64_t size) {
    if (rank_ == max_rank) fail("[shape] at most 5 dimensions");
    if (size < 0) fail("[shape] negative size ", size);
    sizes_[static_cast<std::size_t>(rank_++)] = size;
  }
  /// Number of elements.
  std::int64_t count() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= (*this)[i];
    return n;
  }
  /// Size of the last dimension; 1 for a scalar.
  std::int64_t last() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  /// Elements per step of the last dimension: everything before it, as rows.
  std::int64_t rows() const {
    std::int64_t n = 1;
    for (int i = 0; i + 1 < rank_; ++i) n *= (*this)[i];
    return n;
  }
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '[';
    for (int i = 0; i < shape.rank_; ++i) out << (i ? ", " : "") << shape[i];
    return out << ']';
  }

 private:
  std::array<std::int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

/// How an array's elements lie in memory. Primitives name the layouts they take; any other is an Error.
enum class Layout : std::uint8_t {
  row_major,  // contiguous, last dimension fastest
  lanes16,    // images [n, c, h, w] on the cpu, stored [ceil(n / 16)][c][h + 2][w + 2][16]: the image's number comes last.
              // The rows and columns around each image (the halo) are zeros; the lanes of the last block beyond n hold
              // anything and have no part in any result
};

constexpr const char* name_of(Layout layout) {
  switch (layout) {
    case Layout::row_major: return "row_major";
    case Layout::lanes16: return "lanes16";
  }
  return "?";
}

inline std::ostream& operator<<(std::ostream& out, Layout layout) { return out << name_of(layout); }

/// Images in a block of layout lanes16.
inline constexpr std::int64_t kImageLanes = 16;

/// Elements that an array of this shape has in memory; lanes16 needs four dimensions.
inline std::int64_t stored_count(const Shape& shape, Layout layout) {
  if (layout == Layout::row_major) return shape.count();
  if (shape.rank() != 4) fail("[stored_count] no array ", shape, " is stored as ", layout);
  return (shape[0] + kImageLanes - 1) / kImageLanes * shape[1] * (shape[2] + 2) * (shape[3] + 2) * kImageLanes;
}

/// Bytes of memory of such an array.
inline std::size_t bytes_of(const Shape& shape, DType dtype, Layout layout) {
  return static_cast<std::size_t>(stored_count(shape, layout)) * size_of(dtype);
}

/// What a primitive reads: a dense array in the device's memory. A null pointer means "not given".
struct In {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Layout layout = Layout::row_major;

  explicit operator bool() const { return data != nullptr; }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// What a primitive writes.
struct Out {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Layout layout = Layout::row_major;

  explicit operator bool() const { return data != nullptr; }
  operator In() const { return {data, dtype, shape, layout}; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace alma
