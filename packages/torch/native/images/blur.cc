// Gaussian blur by three box passes per axis, bit for bit Pillow's; edge pixels are repeated outwards.
#include <algorithm>
#include <cmath>

#include "images.h"
#include "vectors.h"

namespace odis::images {

namespace {

/// One box pass: its whole reach, and its weights with 24 fractional bits.
struct Box3 {
  int reach;
  /// of the 2 reach + 1 pixels in the middle
  uint32_t inner;
  /// of the two pixels beyond them
  uint32_t outer;
};

constexpr int kPasses = 3;

/// The box of which three passes have the Gaussian's variance; its width need not be whole. Doubles are
/// rounded where Pillow rounds.
Box3 boxOf(double radius) {
  const float sigma = static_cast<float>(radius);
  const float variance = sigma * sigma / float{kPasses};
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1));
  const double whole = std::floor((double{length} - 1) / 2);
  const auto above = static_cast<float>(
      (2 * whole + 1) * static_cast<float>(static_cast<float>(whole * (whole + 1)) - 3.0f * variance));
  const auto below = static_cast<float>(6.0 * static_cast<float>(variance - (whole + 1) * (whole + 1)));
  const auto exact = static_cast<float>(whole + above / below);
  const int reach = static_cast<int>(exact);
  const float width = exact * 2.0f + 1.0f;
  const auto inner = static_cast<int32_t>(static_cast<float>((1 << 24) / double{width}));
  const int32_t outer = ((1 << 24) - (2 * reach + 1) * inner) >> 1;
  return {reach, static_cast<uint32_t>(inner), static_cast<uint32_t>(outer)};
}

/// One pass down a few columns: `from` and `to` point at the first of `size` rows, with room for `reach + 1`
/// rows above and below.
void pass(Unsigned* from, Unsigned* to, int size, const Box3& box) {
  const int reach = box.reach;
  for (int y = 0; y <= reach; y++) {
    from[-1 - y] = from[0];
    from[size + y] = from[size - 1];
  }
  const Unsigned inner = Unsigned{} + box.inner, outer = Unsigned{} + box.outer;
  Unsigned total = {};  // of the 2 reach rows that the window keeps when it moves on
  for (int y = -reach; y < reach; y++) total += from[y];
  for (int y = 0; y < size; y++) {
    total += from[y + reach];
    const Unsigned ends = from[y - reach - 1] + from[y + reach + 1];
    to[y] = (total * inner + ends * outer + (1u << 23)) >> 24;
    total -= from[y - reach];
  }
}

/// All passes down the columns of a plane, in place, a few columns at a time: they stay in the nearest cache.
void down(Memory& memory, uint8_t* plane, int size, const Box3& box) {
  const int rows = size + 2 * (box.reach + 1);
  Unsigned* a = memory.from.take<Unsigned>(rows) + box.reach + 1;
  Unsigned* b = memory.to.take<Unsigned>(rows) + box.reach + 1;
  for (int x = 0; x < size; x += kLanes) {
    uint8_t* at = plane + x;
    const int columns = std::min(kLanes, size - x);
    uint8_t some[kLanes] = {};
    for (int y = 0; y < size; y++, at += size) {
      if (columns < kLanes) std::memcpy(some, at, columns);
      a[y] = (Unsigned)loadInts(columns < kLanes ? some : at);
    }
    pass(a, b, size, box);
    pass(b, a, size, box);
    pass(a, b, size, box);
    at = plane + x;
    for (int y = 0; y < size; y++, at += size) {
      storeBytes(columns < kLanes ? some : at, (Ints)b[y]);
      if (columns < kLanes) std::memcpy(at, some, columns);
    }
  }
}

/// Rows become columns.
void transpose(const uint8_t* from, uint8_t* to, int size) {
  constexpr Bytes low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Bytes high = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const int blocks = size / 16 * 16;
  for (int y = 0; y < blocks; y += 16)
    for (int x = 0; x < blocks; x += 16) {
      Bytes a[16], b[16];
      for (int i = 0; i < 16; i++) a[i] = load<Bytes>(from + size_t(y + i) * size + x);
      // Four times row i beside row i + 8: each time the lowest bit of the place moves from row to column.
      for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 8; i++) {
          b[2 * i] = __builtin_shuffle(a[i], a[i + 8], low);
          b[2 * i + 1] = __builtin_shuffle(a[i], a[i + 8], high);
        }
        for (int i = 0; i < 16; i++) a[i] = b[i];
      }
      for (int i = 0; i < 16; i++) store(to + size_t(x + i) * size + y, a[i]);
    }
  for (int y = 0; y < size; y++)
    for (int x = y < blocks ? blocks : 0; x < size; x++) to[size_t(x) * size + y] = from[size_t(y) * size + x];
}

}  // namespace

void blur(Memory& memory, uint8_t* pixels, int size, double radius) {
  const Box3 box = boxOf(radius);
  const size_t n = size_t(size) * size;
  auto* turned = memory.plane.take<uint8_t>(n);
  for (uint8_t* plane = pixels; plane < pixels + 3 * n; plane += n) {
    transpose(plane, turned, size);
    down(memory, turned, size, box);
    transpose(turned, plane, size);
    down(memory, plane, size, box);
  }
}

}  // namespace odis::images
