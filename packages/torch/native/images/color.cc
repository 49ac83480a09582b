// Photometric changes of a planar view, bit for bit what Pillow and torchvision give.
//
// Divisions and roundings stand where Pillow has them or where all 2^24 colours were tried (the tests of odis's
// views try them).
#include <algorithm>
#include <cmath>

#include "images.h"
#include "vectors.h"

namespace odis::images {

namespace {

/// What happens to some pixels of the three planes at once, 0..255 in each lane. What leaves that range is cut.
template <class Change>
inline void some(const uint8_t* const from[3], uint8_t* const to[3], const Change& change) {
  Ints parts[3][kParts];
  for (int part = 0; part < kParts; part++) {
    Ints r = loadInts(from[0] + part * kLanes), g = loadInts(from[1] + part * kLanes),
         b = loadInts(from[2] + part * kLanes);
    change(r, g, b);
    parts[0][part] = r, parts[1][part] = g, parts[2][part] = b;
  }
  for (int c = 0; c < 3; c++) store(to[c], narrow(parts[c]));
}

/// The last pixels of planes, as many as `some` takes, the rest of them 0.
struct Rest {
  uint8_t bytes[3][16] = {};
  uint8_t* const planes[3] = {bytes[0], bytes[1], bytes[2]};

  Rest(const uint8_t* r, const uint8_t* g, const uint8_t* b, size_t count) {
    const uint8_t* const from[] = {r, g, b};
    for (int c = 0; c < 3; c++) std::memcpy(bytes[c], from[c], count);
  }
};

/// Every pixel by itself, in place.
template <class Change>
void each(uint8_t* r, uint8_t* g, uint8_t* b, size_t n, const Change& change) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    uint8_t* const at[] = {r + i, g + i, b + i};
    some(at, at, change);
  }
  Rest rest(r + i, g + i, b + i, n - i);
  some(rest.planes, rest.planes, change);
  uint8_t* const to[] = {r + i, g + i, b + i};
  for (int c = 0; c < 3; c++) std::memcpy(to[c], rest.bytes[c], n - i);
}

/// base + factor x (value - base); the fraction is dropped.
inline Ints blend(Floats base, float factor, Ints value) { return toInts(base + factor * (toFloats(value) - base)); }

/// Away from or towards one value.
void towards(float base, uint8_t* r, uint8_t* g, uint8_t* b, size_t n, float factor) {
  each(r, g, b, n, [base = Floats{} + base, factor](Ints& r, Ints& g, Ints& b) {
    r = blend(base, factor, r);
    g = blend(base, factor, g);
    b = blend(base, factor, b);
  });
}

/// ITU-R 601 luma with 16 fractional bits: 19595 r + 38470 g + 7471 b + 32768, cut. A weight has 15 bits at most
/// beside its sign, so that green counts twice with half of its own.
inline Ints lightness(Ints r, Ints g, Ints b) {
  const Ints sum = multiplyAdd(Ints{} + 32768, (Shorts)(r | g << 17), 19595 | 19235 << 16);
  return multiplyAdd(sum, (Shorts)b, 7471) >> 16;
}

/// The view's mean lightness, a whole number.
int meanLightness(const uint8_t* r, const uint8_t* g, const uint8_t* b, size_t n) {
  constexpr size_t kBlock = 4096;  // whose sum fits an int
  int64_t total = 0;
  Ints sum = {};
  const auto add = [&sum](const uint8_t* r, const uint8_t* g, const uint8_t* b) {
    for (int at = 0; at < 16; at += kLanes) sum += lightness(loadInts(r + at), loadInts(g + at), loadInts(b + at));
  };
  const auto flush = [&] {
    for (int lane = 0; lane < kLanes; lane++) total += sum[lane];
    sum = Ints{};
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    add(r + i, g + i, b + i);
    if (i % kBlock == 0) flush();
  }
  const Rest rest(r + i, g + i, b + i, n - i);
  add(rest.bytes[0], rest.bytes[1], rest.bytes[2]);  // black adds nothing
  flush();
  return static_cast<int>(static_cast<double>(total) / static_cast<double>(n) + 0.5);
}

void saturation(uint8_t* r, uint8_t* g, uint8_t* b, size_t n, float factor) {
  each(r, g, b, n, [factor](Ints& r, Ints& g, Ints& b) {
    const Floats base = toFloats(lightness(r, g, b));
    r = blend(base, factor, r);
    g = blend(base, factor, g);
    b = blend(base, factor, b);
  });
}

void gray(uint8_t* r, uint8_t* g, uint8_t* b, size_t n) {
  each(r, g, b, n, [](Ints& r, Ints& g, Ints& b) { r = g = b = lightness(r, g, b); });
}

inline Ints larger(Ints a, Ints b) { return a > b ? a : b; }
inline Ints smaller(Ints a, Ints b) { return a < b ? a : b; }

/// Turns the colour circle through 8-bit hue, saturation and value; lossy even at 0, as published.
inline void turnHue(Ints& red, Ints& green, Ints& blue, int turn) {
  const Ints r = red, g = green, b = blue;
  const Ints most = larger(larger(r, g), b), least = smaller(smaller(r, g), b);
  const Ints middle = r + g + b - most - least, range = most - least;
  const Floats value = toFloats(most), width = toFloats(larger(range, Ints{} + 1));
  const Ints s = toInts(divide(toFloats(range), toFloats(larger(most, Ints{} + 1))) * 255.0f);

  // The circle in sixths, the middle channel's way from one colour to the next. Towards 1, 3 and 5 it rises
  // with the middle channel, from there on it rises as the middle channel falls.
  const Floats part = divide(toFloats(most - middle), width);
  const Ints peak = r == most ? Ints{} + 1 : g == most ? Ints{} + 3 : Ints{} + 5;
  const Ints before = r == most ? b : g == most ? r : g;  // the least channel where h is below the peak
  const Floats at = toFloats(peak);
  const Floats h = before == least ? at - part : (at - 2.0f) + part;
  const Floats turns = divide(h, Floats{} + 6.0f) + (h < 0.0f ? Floats{} + 1.0f : Floats{});
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

void hue(uint8_t* r, uint8_t* g, uint8_t* b, size_t n, int turn) {
  each(r, g, b, n, [turn](Ints& r, Ints& g, Ints& b) { turnHue(r, g, b, turn); });
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
    case Change::kBrightness: return towards(0, r, g, b, n, factor);
    case Change::kContrast:
      return towards(static_cast<float>(meanLightness(r, g, b, n)), r, g, b, n, factor);
    case Change::kSaturation: return saturation(r, g, b, n, factor);
    case Change::kHue: return hue(r, g, b, n, static_cast<int>(amount * 255) & 255);
    case Change::kGray: return gray(r, g, b, n);
    case Change::kBlur: return blur(memory, pixels, size, amount);
    case Change::kSolarize: return solarize(pixels, 3 * n, amount);
  }
}

}  // namespace odis::images
