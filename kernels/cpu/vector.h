#pragma once
#include <cstring>

namespace alma {

// The vector registers of this level, as GCC vector types; the compiler lowers them to what -march allows.
#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
inline Vector<T> load_vector(const T* source) {
  Vector<T> v;
  std::memcpy(&v, source, sizeof v);
  return v;
}
template <class T>
inline void store_vector(T* target, const Vector<T>& v) {
  std::memcpy(target, &v, sizeof v);
}
template <class T>
inline T sum_lanes(const Vector<T>& v) {
  T half[kLanes<T>];
  std::memcpy(half, &v, sizeof v);
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) half[i] += half[i + width];
  return half[0];
}

}  // namespace alma
