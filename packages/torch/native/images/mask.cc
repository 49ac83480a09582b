// Masks under a view's cut, resize and mirroring, by nearest neighbour.
#include <algorithm>

#include "images.h"

namespace odis::images {

namespace {

/// For each output the input that holds its middle. The position is summed up step by step, not multiplied:
/// where a middle lies on the border of two pixels, Pillow's rounding decides.
const int32_t* nearest(Scratch& scratch, int start, int from, int to) {
  auto* indices = scratch.take<int32_t>(to);
  const double step = static_cast<double>(from) / to;
  double position = step * 0.5;
  for (int i = 0; i < to; i++, position += step) indices[i] = start + static_cast<int>(position);
  return indices;
}

/// The outputs whose inputs lie in an interval; inputs never fall.
std::pair<int, int> samplesIn(const int32_t* inputs, int size, int start, int length) {
  const int32_t* first = std::lower_bound(inputs, inputs + size, start);
  const int32_t* end = std::lower_bound(first, inputs + size, start + length);
  return {static_cast<int>(first - inputs), static_cast<int>(end - inputs)};
}

}  // namespace

int64_t resampleNearest(Memory& memory, const uint8_t* mask, int stride, const Cut& cut, int size,
                        uint8_t* out) {
  const int32_t* xs = nearest(memory.columns, cut.box.x, cut.box.width, size);
  const int32_t* ys = nearest(memory.heights, cut.box.y, cut.box.height, size);
  int64_t count = 0;
  for (int y = 0; y < size; y++, out += size) {
    const uint8_t* row = mask + size_t(ys[y]) * stride;
    for (int x = 0; x < size; x++) {
      const uint8_t bit = row[xs[cut.flip ? size - 1 - x : x]];
      out[x] = bit;
      count += bit;
    }
  }
  return count;
}

int64_t countPatches(Memory& memory, const uint8_t* mask, int stride, const Cut& cut, const Box& within,
                     int size, int patch, int32_t* counts) {
  const int32_t* xs = nearest(memory.columns, cut.box.x, cut.box.width, size);
  const int32_t* ys = nearest(memory.heights, cut.box.y, cut.box.height, size);
  const auto [left, right] = samplesIn(xs, size, within.x, within.width);
  const auto [top, bottom] = samplesIn(ys, size, within.y, within.height);
  const int columns = size / patch;
  std::fill(counts, counts + size_t(columns) * columns, 0);
  int64_t count = 0;
  for (int y = top; y < bottom; y++) {
    const uint8_t* row = mask + size_t(ys[y]) * stride;
    int32_t* line = counts + size_t(y / patch) * columns;
    for (int x = left; x < right;) {
      const int column = x / patch, end = std::min(right, (column + 1) * patch);
      int sum = 0;
      for (; x < end; x++) sum += row[xs[x]];
      line[cut.flip ? columns - 1 - column : column] += sum;
      count += sum;
    }
  }
  return count;
}

}  // namespace odis::images
