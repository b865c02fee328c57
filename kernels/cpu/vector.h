#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

#if defined(__AVX2__) && !defined(__AVX512F__)
/// All bits of the first `count` lanes of `Bytes` bytes.
template <int Bytes>
inline __m256i mask_of(std::int64_t count) {
  alignas(64) static constexpr std::int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones_then_zeros + 8 - count * (Bytes / 4)));
}
#endif

/// The first `count` lanes, 0 <= count <= lanes, and zeros; memory behind them is not touched.
template <class T>
inline Vector<T> load_part(const T* source, std::int64_t count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), source);
  else
    return (Vector<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), source);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm256_maskload_ps(source, mask_of<4>(count));
  else
    return (Vector<T>)_mm256_maskload_pd(source, mask_of<8>(count));
#else
  if (count == kLanes<T>) return load_vector(source);  // a vector that was just written in parts is slow to read
  T part[kLanes<T>] = {};
  for (std::int64_t i = 0; i < count; ++i) part[i] = source[i];
  return load_vector(part);
#endif
}
template <class T>
inline void store_part(T* target, const Vector<T>& v, std::int64_t count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(target, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(target, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
#elif defined(__AVX2__)  // not its masked store, which takes tens of cycles on some processors
  if (count == kLanes<T>) return store_vector(target, v);
  std::int64_t words = count * static_cast<std::int64_t>(sizeof(T)) / 4;
  float* to = reinterpret_cast<float*>(target);
  __m128 rest = _mm256_castps256_ps128((__m256)v);
  if (words & 4) {
    _mm_storeu_ps(to, rest);
    rest = _mm256_extractf128_ps((__m256)v, 1);
    to += 4;
  }
  if (words & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(to), rest);
    rest = _mm_movehl_ps(rest, rest);
    to += 2;
  }
  if (words & 1) _mm_store_ss(to, rest);
#else
  if (count == kLanes<T>) return store_vector(target, v);
  T part[kLanes<T>];
  store_vector(part, v);
  std::int64_t done = 0;
  for (int width = kLanes<T>; width > 0; width /= 2) {
    if ((count & width) == 0) continue;
    std::memcpy(target + done, part + done, static_cast<std::size_t>(width) * sizeof(T));
    done += width;
  }
#endif
}

// ---- bytes ----------------------------------------------------------------------------------------------------------
// Without intrinsics GCC 12 converts them one by one, at the cost of a whole product with images.

/// As many bytes as a vector of 32-bit numbers has lanes, each in a lane of its own.
inline Vector<std::int32_t> load_bytes(const std::uint8_t* source) {
#if defined(__AVX512F__)
  return (Vector<std::int32_t>)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
#elif defined(__AVX2__)
  return (Vector<std::int32_t>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(source)));
#else  // between zeros twice, which is an instruction each on every processor with 16-byte vectors
  typedef std::uint8_t Bytes __attribute__((vector_size(16)));
  typedef std::uint16_t Pairs __attribute__((vector_size(16)));
  std::int32_t four;
  std::memcpy(&four, source, sizeof four);
  const Bytes bytes = (Bytes)Vector<std::int32_t>{four};
  const Pairs pairs =
      (Pairs)__builtin_shuffle(bytes, Bytes{}, Bytes{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
  return (Vector<std::int32_t>)__builtin_shuffle(pairs, Pairs{}, Pairs{0, 8, 1, 9, 2, 10, 3, 11});
#endif
}

/// The lanes, which are 0 .. 255, as bytes.
inline void store_bytes(std::uint8_t* target, const Vector<std::int32_t>& lanes) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm512_cvtepi32_epi8((__m512i)lanes));
#elif defined(__AVX2__)
  const __m128i pairs =
      _mm_packus_epi32(_mm256_castsi256_si128((__m256i)lanes), _mm256_extracti128_si256((__m256i)lanes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(target), _mm_packus_epi16(pairs, pairs));
#else
  typedef std::uint8_t Bytes __attribute__((vector_size(kLanes<std::int32_t>)));
  const Bytes bytes = __builtin_convertvector(lanes, Bytes);
  std::memcpy(target, &bytes, sizeof bytes);
#endif
}

/// a * b + c, rounded once, whatever the compiler makes of the plain expression.
inline Vector<float> fused_multiply_add(const Vector<float>& a, const Vector<float>& b, const Vector<float>& c) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (Vector<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  Vector<float> sum;
  for (int i = 0; i < kLanes<float>; ++i) sum[i] = std::fma(a[i], b[i], c[i]);
  return sum;
#endif
}

/// The products of the lower 32 bits of each lane. GCC 12 does not see that the upper ones do not count.
inline Vector<std::uint64_t> multiply_low_halves(const Vector<std::uint64_t>& a, const Vector<std::uint64_t>& b) {
#if defined(__AVX512F__)
  return (Vector<std::uint64_t>)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Vector<std::uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Vector<std::uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  constexpr std::uint64_t low = 0xffffffff;
  return (a & low) * (b & low);
#endif
}

template <class T>
inline T sum_lanes(const Vector<T>& v) {
  T half[kLanes<T>];
  std::memcpy(half, &v, sizeof v);
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) half[i] += half[i + width];
  return half[0];
}

// ---- transposes -------------------------------------------------------------------------------------------------------

template <class T>
using LaneIndex = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

/// Swaps, of the 2 x 2 blocks of `Step` x `Step` elements in rows a and b, the two off the diagonal.
template <class T, int Step, int... Lane>
inline void swap_blocks(Vector<T>& a, Vector<T>& b, std::integer_sequence<int, Lane...>) {
  constexpr int n = kLanes<T>;
  const Vector<T> low = __builtin_shuffle(a, b, Vector<LaneIndex<T>>{((Lane & Step) ? Lane - Step + n : Lane)...});
  b = __builtin_shuffle(a, b, Vector<LaneIndex<T>>{((Lane & Step) ? Lane + n : Lane + Step)...});
  a = low;
}

/// Transposes lanes x lanes elements in registers.
template <class T, int Step = 1>
inline void transpose(Vector<T> (&rows)[kLanes<T>]) {
  if constexpr (Step < kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i)
      if ((i & Step) == 0) swap_blocks<T, Step>(rows[i], rows[i + Step], std::make_integer_sequence<int, kLanes<T>>{});
    transpose<T, Step * 2>(rows);
  }
}

/// Lane i: the sum of the lanes of rows[i], which is lost.
template <class T, int Step = 1>
inline Vector<T> sum_each(Vector<T> (&rows)[kLanes<T>]) {
  if constexpr (Step < kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; i += 2 * Step) {
      swap_blocks<T, Step>(rows[i], rows[i + Step], std::make_integer_sequence<int, kLanes<T>>{});
      rows[i] += rows[i + Step];
    }
    return sum_each<T, Step * 2>(rows);
  }
  return rows[0];
}

}  // namespace alma
