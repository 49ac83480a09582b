// Antialiased bicubic in Pillow's two passes, horizontal first, each rounded to bytes.
//
// Both passes add up pixels times 22-bit weights. Weights are split in two parts (see `Filter`), so
// that one instruction multiplies two neighbouring pixels, along a row in the first pass and down a
// column in the second, with two weights and adds them up. Parts and their order do not matter: sums
// of whole numbers are exact.
#include <algorithm>

#include "images.h"
#include "vectors.h"

namespace odis::images {

namespace {

constexpr int kHalf = 1 << 21;

inline Ints fromFixed(Ints high, Ints low) { return ((high << 14) + low) >> 22; }

/// Bytes between two pairs of rows in `rows`: size x 3 x 2, and room for whole steps of the second pass.
constexpr int kBlocks = 4;
size_t rowBytes(int size) {
  constexpr size_t step = size_t{kBlocks} * kLanes * 2;
  return (size_t(size) * 6 + 16 + step - 1) / step * step;
}

/// Bytes of one column of the rows that the first pass takes at a time: 8 numbers of 16 bits each.
constexpr int kColumn = 16 * kRows;

/// Bytes of one row of the box with what the last load reaches beyond it.
size_t lineBytes(int width) { return 3 * size_t(width) + 16; }

/// Columns of pairs of such a row, with those that the last load makes too many.
size_t pairColumns(int width) { return (size_t(width) + 3) / 4 * 2; }

/// Lays `kRows` rows of the box out so that the pixels at even x and x + 1 of a channel are neighbours:
/// pairs[x / 2][row] = r(x) r(x+1) g(x) g(x+1) b(x) b(x+1) 0 0 in 16 bits each.
void pairUp(const uint8_t* rows, size_t stride, int width, uint8_t* pairs) {
  constexpr Bytes first = {0, o, 3, o, 1, o, 4, o, 2, o, 5, o, o, o, o, o};
  constexpr Bytes second = {6, o, 9, o, 7, o, 10, o, 8, o, 11, o, o, o, o, o};
  for (int x = 0; x < width; x += 4, rows += 12, pairs += 2 * kColumn)
    pickRows(rows, stride, first, second, pairs);
}

/// The last rows of a box, as many as there are, in memory that may be read beyond them.
void copyRows(const uint8_t* from, size_t stride, int count, int width, uint8_t* to) {
  const size_t length = lineBytes(width);
  std::memset(to, 0, kRows * length);
  for (int row = 0; row < count; row++) std::memcpy(to + row * length, from + row * stride, 3 * size_t(width));
}

/// Has the next rows of a box brought near while others are worked on: it is too narrow for the processor to foresee
/// where it goes on.
void fetch(const uint8_t* rows, size_t stride, int count, int width) {
  for (int row = 0; row < count; row++)
    for (size_t at = 0; at < 3 * size_t(width); at += 64) __builtin_prefetch(rows + row * stride + at);
}

/// The box's rows, shortened to `size` pixels and mirrored: rows [height / 2][size][3][2], two image rows
/// side by side.
void shorten(Memory& memory, const Picture& picture, const Cut& cut, int size, uint8_t* rows) {
  const Box& box = cut.box;
  const Filter& filter = memory.filters.get(box.width, size);
  const size_t stride = 3 * size_t(picture.width), length = rowBytes(size);
  auto* lines = memory.lines.take<uint8_t>(kRows * lineBytes(box.width));
  auto* pairs = memory.pairs.take<uint8_t>(kColumn * pairColumns(box.width));
  const int steps = filter.pairs, first = cut.flip ? size - 1 : 0, turn = cut.flip ? -1 : 1;
  const int32_t* starts = filter.first.data();
  const Filter::Pair* weights = filter.weights.data();
  constexpr Bytes order = {0, 4, 1, 5, 2, 6, kNone, kNone, 8, 12, 9, 13, 10, 14, kNone, kNone};
  for (int y = 0; y < box.height; y += kRows) {
    const size_t begin = (box.y + y) * stride + 3 * size_t(box.x);
    const int count = std::min(box.height - y, kRows);
    if (count == kRows && begin + (kRows - 1) * stride + lineBytes(box.width) <= stride * picture.height) {
      pairUp(picture.rgb + begin, stride, box.width, pairs);
    } else {
      copyRows(picture.rgb + begin, stride, count, box.width, lines);
      pairUp(lines, lineBytes(box.width), box.width, pairs);
    }
    fetch(picture.rgb + begin + kRows * stride, stride, std::min(box.height - y - kRows, kRows), box.width);
    uint8_t* to = rows + y / 2 * length;
    for (int x = 0; x < size; x++, to += 6) {
      const int i = first + turn * x;
      const Filter::Pair* weight = weights + size_t(i) * steps;
      const uint8_t* at = pairs + size_t{kColumn} * (starts[i] / 2);
      Ints high[kParts] = {}, low[kParts];
      for (Ints& sum : low) sum = Ints{} + kHalf;
      for (int k = 0; k < steps; k++, at += kColumn)
        for (int part = 0; part < kParts; part++) {
          const Shorts pixels = load<Shorts>(at + part * kVectorBytes);
          high[part] = multiplyAdd(high[part], pixels, weight[k].high);
          low[part] = multiplyAdd(low[part], pixels, weight[k].low);
        }
      for (int part = 0; part < kParts; part++) high[part] = fromFixed(high[part], low[part]);
      const Bytes sorted = pick(narrow(high), order);
      // Eight bytes are written and six meant: the next pixel goes over the rest.
      std::memcpy(to, &sorted, 8);
      std::memcpy(to + length, reinterpret_cast<const uint8_t*>(&sorted) + 8, 8);
    }
  }
}

/// r g b r g b ... -> three rows of 16 bytes each
inline void separate(const uint8_t* from, uint8_t* r, uint8_t* g, uint8_t* b) {
  const Bytes v0 = load<Bytes>(from), v1 = load<Bytes>(from + 16), v2 = load<Bytes>(from + 32);
  store(r, pick(v0, Bytes{0, 3, 6, 9, 12, 15, o, o, o, o, o, o, o, o, o, o}) |
               pick(v1, Bytes{o, o, o, o, o, o, 2, 5, 8, 11, 14, o, o, o, o, o}) |
               pick(v2, Bytes{o, o, o, o, o, o, o, o, o, o, o, 1, 4, 7, 10, 13}));
  store(g, pick(v0, Bytes{1, 4, 7, 10, 13, o, o, o, o, o, o, o, o, o, o, o}) |
               pick(v1, Bytes{o, o, o, o, o, 0, 3, 6, 9, 12, 15, o, o, o, o, o}) |
               pick(v2, Bytes{o, o, o, o, o, o, o, o, o, o, o, 2, 5, 8, 11, 14}));
  store(b, pick(v0, Bytes{2, 5, 8, 11, 14, o, o, o, o, o, o, o, o, o, o, o}) |
               pick(v1, Bytes{o, o, o, o, o, 1, 4, 7, 10, 13, o, o, o, o, o, o}) |
               pick(v2, Bytes{o, o, o, o, o, o, o, o, o, o, 0, 3, 6, 9, 12, 15}));
}

/// One output row from its window of pairs of rows: `line` gets size x 3 bytes and a little more.
void addUp(const uint8_t* window, size_t length, const Filter::Pair* weight, int pairs, uint8_t* line) {
  for (size_t at = 0; at < length; at += size_t{kBlocks} * kLanes * 2) {
    Ints high[kBlocks] = {}, low[kBlocks];
    for (Ints& sum : low) sum = Ints{} + kHalf;
    const uint8_t* row = window + at;
    for (int k = 0; k < pairs; k++, row += length)
      for (int block = 0; block < kBlocks; block++) {
        const Shorts pixels = widen(row + block * kLanes * 2);
        high[block] = multiplyAdd(high[block], pixels, weight[k].high);
        low[block] = multiplyAdd(low[block], pixels, weight[k].low);
      }
    for (int block = 0; block < kBlocks; block++) high[block] = fromFixed(high[block], low[block]);
    for (int block = 0; block < kBlocks; block += kParts) store(line + at / 2 + block * kLanes, narrow(high + block));
  }
}

}  // namespace

void resampleBicubic(Memory& memory, const Picture& picture, const Cut& cut, int size, uint8_t* out) {
  const size_t length = rowBytes(size), plane = size_t(size) * size;
  const int height = (cut.box.height + kRows - 1) / kRows * kRows;
  auto* rows = memory.rows.take<uint8_t>(height / 2 * length);
  shorten(memory, picture, cut, size, rows);

  const Filter& filter = memory.filters.get(cut.box.height, size);
  auto* line = memory.line.take<uint8_t>(length / 2);
  for (int y = 0; y < size; y++) {
    const uint8_t* window = rows + filter.first[y] / 2 * length;
    addUp(window, length, &filter.weights[size_t(y) * filter.pairs], filter.pairs, line);
    uint8_t* to = out + size_t(y) * size;
    int x = 0;
    for (; x + 16 <= size; x += 16) separate(line + 3 * x, to + x, to + plane + x, to + 2 * plane + x);
    for (; x < size; x++)
      for (int c = 0; c < 3; c++) to[c * plane + x] = line[3 * x + c];
  }
}

}  // namespace odis::images
