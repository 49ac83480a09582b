// Photometric changes of a planar view, bit for bit what Pillow and torchvision give.
//
// Plain loops over planes, which the compiler turns into vectors. Divisions and roundings stand where
// Pillow has them or where all 2^24 colours were tried (test/images.test.ts tries them).
#include <algorithm>
#include <cmath>

#include "images.h"
#include "vectors.h"

namespace odis::images {

namespace {

/// base + factor x (value - base), cut to 0..255; the fraction is dropped.
inline uint8_t blend(float base, float factor, int value) {
  const float blended = base + factor * (static_cast<float>(value) - base);
  return static_cast<uint8_t>(static_cast<int>(std::min(std::max(blended, 0.0f), 255.0f)));
}

/// ITU-R 601 luma with 16 fractional bits.
inline int lightness(int r, int g, int b) { return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16; }

void towards(float base, uint8_t* __restrict pixels, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) pixels[i] = blend(base, factor, pixels[i]);
}

/// The view's mean lightness, a whole number.
int meanLightness(const uint8_t* __restrict r, const uint8_t* __restrict g, const uint8_t* __restrict b,
                  size_t n) {
  constexpr size_t kBlock = 4096;  // whose sum fits an int
  int64_t sum = 0;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(n, begin + kBlock);
    int part = 0;
    for (size_t i = begin; i < end; i++) part += lightness(r[i], g[i], b[i]);
    sum += part;
  }
  return static_cast<int>(static_cast<double>(sum) / static_cast<double>(n) + 0.5);
}

void saturation(uint8_t* __restrict r, uint8_t* __restrict g, uint8_t* __restrict b, size_t n, float factor) {
  for (size_t i = 0; i < n; i++) {
    const float base = static_cast<float>(lightness(r[i], g[i], b[i]));
    r[i] = blend(base, factor, r[i]);
    g[i] = blend(base, factor, g[i]);
    b[i] = blend(base, factor, b[i]);
  }
}

void gray(uint8_t* __restrict r, uint8_t* __restrict g, uint8_t* __restrict b, size_t n) {
  for (size_t i = 0; i < n; i++)
    r[i] = g[i] = b[i] = static_cast<uint8_t>(lightness(r[i], g[i], b[i]));
}

inline Ints larger(Ints a, Ints b) { return a > b ? a : b; }
inline Ints smaller(Ints a, Ints b) { return a < b ? a : b; }

/// Turns the colour circle through 8-bit hue, saturation and value; lossy even at 0, as published.
inline void turnHue(Ints& red, Ints& green, Ints& blue, int turn) {
  const Ints r = red, g = green, b = blue;
  const Ints most = larger(larger(r, g), b), least = smaller(smaller(r, g), b);
  const Ints middle = r + g + b - most - least, range = most - least;
  const Floats value = toFloats(most), width = toFloats(larger(range, Ints{} + 1));
  const Ints s = toInts(toFloats(range) / toFloats(larger(most, Ints{} + 1)) * 255.0f);

  // The circle in sixths, the middle channel's way from one colour to the next. Towards 1, 3 and 5 it rises
  // with the middle channel, from there on it rises as the middle channel falls.
  const Floats part = toFloats(most - middle) / width;
  const Ints peak = r == most ? Ints{} + 1 : g == most ? Ints{} + 3 : Ints{} + 5;
  const Ints before = r == most ? b : g == most ? r : g;  // the least channel where h is below the peak
  const Floats at = toFloats(peak);
  const Floats h = before == least ? at - part : (at - 2.0f) + part;
  const Floats turns = h / 6.0f + (h < 0.0f ? Floats{} + 1.0f : Floats{});
  const Ints moved = (toInts(turns * 255.0f) + turn) & 255;

  const Ints sixths = moved * 6, whole = (sixths * 257 + 257) >> 16;  // sixths / 255
  const Ints within = sixths - 255 * whole, k = whole == 6 ? Ints{} : whole;
  const Ints away = (k & 1) != 0 ? within : 255 - within;
  const Ints low = toInts(value * (1.0f - toFloats(s) * (1 / 255.0f)) + 0.5f);
  const Ints between = toInts(value - value * (toFloats(s * away) * (1 / 65025.0f)) + 0.5f);
  const auto select = [&](int a, int b, int c, int d) {
    return ((k == a) | (k == b)) != 0 ? most : ((k == c) | (k == d)) != 0 ? between : low;
  };
  red = range == 0 ? r : select(0, 5, 1, 4);
  green = range == 0 ? g : select(1, 2, 0, 3);
  blue = range == 0 ? b : select(3, 4, 2, 5);
}

void hue(uint8_t* red, uint8_t* green, uint8_t* blue, size_t n, int turn) {
  const auto some = [turn](uint8_t* r, uint8_t* g, uint8_t* b) {
    Ints x = loadInts(r), y = loadInts(g), z = loadInts(b);
    turnHue(x, y, z, turn);
    storeBytes(r, x);
    storeBytes(g, y);
    storeBytes(b, z);
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) some(red + i, green + i, blue + i);
  uint8_t rest[3][kLanes] = {};
  uint8_t* const planes[] = {red + i, green + i, blue + i};
  for (int c = 0; c < 3; c++) std::memcpy(rest[c], planes[c], n - i);
  some(rest[0], rest[1], rest[2]);
  for (int c = 0; c < 3; c++) std::memcpy(planes[c], rest[c], n - i);
}

/// Inverts what is at least as bright as the threshold.
void solarize(uint8_t* __restrict pixels, size_t count, double threshold) {
  const int least = static_cast<int>(std::ceil(std::min(std::max(threshold, 0.0), 256.0)));
  for (size_t i = 0; i < count; i++)
    pixels[i] = static_cast<uint8_t>(pixels[i] < least ? pixels[i] : 255 - pixels[i]);
}

}  // namespace

void change(Memory& memory, uint8_t* pixels, int size, Change what, double amount) {
  const size_t n = size_t(size) * size;
  uint8_t *r = pixels, *g = pixels + n, *b = pixels + 2 * n;
  const auto factor = static_cast<float>(amount);
  switch (what) {
    case Change::kBrightness: return towards(0, pixels, 3 * n, factor);
    case Change::kContrast:
      return towards(static_cast<float>(meanLightness(r, g, b, n)), pixels, 3 * n, factor);
    case Change::kSaturation: return saturation(r, g, b, n, factor);
    case Change::kHue: return hue(r, g, b, n, static_cast<int>(amount * 255) & 255);
    case Change::kGray: return gray(r, g, b, n);
    case Change::kBlur: return blur(memory, pixels, size, amount);
    case Change::kSolarize: return solarize(pixels, 3 * n, amount);
  }
}

}  // namespace odis::images
