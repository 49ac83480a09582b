// The compiler's own vectors, so that the same lines serve AVX-512, AVX2 and NEON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSSE3__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace odis::images {

#if defined(__AVX512BW__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
/// Sums in one vector.
constexpr int kLanes = kVectorBytes / 4;

typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
typedef uint32_t Unsigned __attribute__((vector_size(kVectorBytes)));
typedef float Floats __attribute__((vector_size(kVectorBytes)));
typedef int16_t Shorts __attribute__((vector_size(kVectorBytes)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef int64_t Longs __attribute__((vector_size(16)));

template <class V> inline V load(const void* at) {
  V v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
template <class V> inline void store(void* at, V v) { std::memcpy(at, &v, sizeof v); }

/// Byte l of the result is byte `from[l]`; 0 where that is `kNone`.
inline Bytes pick(Bytes bytes, Bytes from) {
#if defined(__SSSE3__)
  return (Bytes)_mm_shuffle_epi8((__m128i)bytes, (__m128i)from);
#elif defined(__ARM_NEON)
  return (Bytes)vqtbl1q_u8((uint8x16_t)bytes, (uint8x16_t)from);
#else
  return __builtin_shuffle(bytes, from) & (Bytes)(from < 128);
#endif
}
constexpr uint8_t kNone = 128, o = kNone;

/// sum + the products of two neighbouring 16-bit numbers each with the two in `weights`
inline Ints multiplyAdd(Ints sum, Shorts pixels, int32_t weights) {
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
  return (Ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)pixels, _mm512_set1_epi32(weights));
#elif defined(__AVX512BW__)
  return sum + (Ints)_mm512_madd_epi16((__m512i)pixels, _mm512_set1_epi32(weights));
#elif defined(__AVX2__)
  return sum + (Ints)_mm256_madd_epi16((__m256i)pixels, _mm256_set1_epi32(weights));
#elif defined(__SSSE3__)
  return sum + (Ints)_mm_madd_epi16((__m128i)pixels, _mm_set1_epi32(weights));
#else
  const Ints both = (Ints)pixels;
  return sum + ((both << 16) >> 16) * int32_t{static_cast<int16_t>(weights)} + (both >> 16) * (weights >> 16);
#endif
}

/// Bytes to 16-bit numbers.
inline Shorts widen(const uint8_t* at) {
#if defined(__AVX512BW__)
  return (Shorts)_mm512_cvtepu8_epi16(load<__m256i>(at));
#elif defined(__AVX2__)
  return (Shorts)_mm256_cvtepu8_epi16(load<__m128i>(at));
#else
  return (Shorts)pick((Bytes)Longs{load<int64_t>(at)}, Bytes{0, o, 1, o, 2, o, 3, o, 4, o, 5, o, 6, o, 7, o});
#endif
}

/// Bytes to one vector of whole numbers.
inline Ints loadInts(const uint8_t* at) {
#if defined(__AVX512BW__)
  return (Ints)_mm512_cvtepu8_epi32(load<__m128i>(at));
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load<int64_t>(at)));
#else
  return (Ints)pick((Bytes)Ints{load<int32_t>(at)}, Bytes{0, o, o, o, 1, o, o, o, 2, o, o, o, 3, o, o, o});
#endif
}

inline Floats toFloats(Ints v) { return __builtin_convertvector(v, Floats); }
/// The fraction is dropped.
inline Ints toInts(Floats v) { return __builtin_convertvector(v, Ints); }

/// a / b for b of 1 to 255 and an a of which the quotient is 0 or of a size of at least 2^-20, rounded as the processor's
/// division rounds, which takes five times as long.
inline Floats divide(Floats a, Floats b) {
#if defined(__AVX512BW__)
  const __m512 x = (__m512)a, y = (__m512)b, guess = _mm512_rcp14_ps(y);
  const __m512 inverse = _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(y, guess, _mm512_set1_ps(1)), guess);
  const __m512 near = _mm512_mul_ps(x, inverse);
  return (Floats)_mm512_fmadd_ps(_mm512_fnmadd_ps(y, near, x), inverse, near);
#else
  return a / b;
#endif
}

/// Each lane cut to 0..255, as bytes in a row.
inline void storeBytes(uint8_t* at, Ints v) {
#if defined(__AVX512BW__)
  store(at, _mm512_cvtusepi32_epi8(_mm512_max_epi32((__m512i)v, _mm512_setzero_si512())));
#elif defined(__AVX2__)
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  store(at, _mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
#else
  v = v < 0 ? Ints{} : v > 255 ? Ints{} + 255 : v;
  store(at, ((Ints)pick((Bytes)v, Bytes{0, 4, 8, 12, o, o, o, o, o, o, o, o, o, o, o, o}))[0]);
#endif
}

/// Vectors of sums that make 16 bytes.
constexpr int kParts = 16 / kLanes;
/// Each lane cut to 0..255.
inline Bytes narrow(const Ints* v) {
#if defined(__AVX512BW__)
  return (Bytes)_mm512_cvtusepi32_epi8(_mm512_max_epi32((__m512i)v[0], _mm512_setzero_si512()));
#elif defined(__AVX2__)
  const auto words = [](Ints v) {
    return _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  };
  return (Bytes)_mm_packus_epi16(words(v[0]), words(v[1]));
#elif defined(__SSSE3__)
  const auto words = [](Ints a, Ints b) { return _mm_packs_epi32((__m128i)a, (__m128i)b); };
  return (Bytes)_mm_packus_epi16(words(v[0], v[1]), words(v[2], v[3]));
#elif defined(__ARM_NEON)
  const auto words = [](Ints a, Ints b) { return vcombine_s16(vqmovn_s32((int32x4_t)a), vqmovn_s32((int32x4_t)b)); };
  return (Bytes)vcombine_u8(vqmovun_s16(words(v[0], v[1])), vqmovun_s16(words(v[2], v[3])));
#else
  uint8_t bytes[16];
  for (int part = 0; part < kParts; part++) storeBytes(bytes + part * kLanes, v[part]);
  return load<Bytes>(bytes);
#endif
}

/// Rows that are worked on together, 16 bytes of each side by side.
constexpr int kRows = 4;
/// Picks from 16 bytes of each of the rows in the same way, and again in another.
inline void pickRows(const uint8_t* at, size_t stride, Bytes first, Bytes second, uint8_t* to) {
  constexpr int kPicked = 16 * kRows;
#if defined(__AVX512BW__)
  __m512i rows = _mm512_castsi128_si512(load<__m128i>(at));
  rows = _mm512_inserti32x4(rows, load<__m128i>(at + stride), 1);
  rows = _mm512_inserti32x4(rows, load<__m128i>(at + 2 * stride), 2);
  rows = _mm512_inserti32x4(rows, load<__m128i>(at + 3 * stride), 3);
  store(to, _mm512_shuffle_epi8(rows, _mm512_broadcast_i32x4((__m128i)first)));
  store(to + kPicked, _mm512_shuffle_epi8(rows, _mm512_broadcast_i32x4((__m128i)second)));
#else
  for (int row = 0; row < kRows; row++) {
    const Bytes some = load<Bytes>(at + row * stride);
    store(to + 16 * row, pick(some, first));
    store(to + kPicked + 16 * row, pick(some, second));
  }
#endif
}

}  // namespace odis::images
