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

int64_t countPatches(Memory& memory, const Runs& runs, int height, const Cut& cut, int size, int patch,
                     int32_t* counts) {
  const int32_t* xs = nearest(memory.columns, cut.box.x, cut.box.width, size);
  const int32_t* ys = nearest(memory.heights, cut.box.y, cut.box.height, size);
  // How many of the view's rows lie above each row of the box.
  auto* above = memory.above.take<int32_t>(cut.box.height + 1);
  for (int row = 0, y = 0; row <= cut.box.height; row++) {
    while (y < size && ys[y] < cut.box.y + row) y++;
    above[row] = y;
  }
  const int columns = size / patch;
  std::fill(counts, counts + size_t(columns) * columns, 0);
  int64_t count = 0, begin = 0;  // `begin`: where run `at` begins, column by column
  size_t at = 0;
  for (int x = 0; x < size;) {
    const int64_t top = int64_t{xs[x]} * height + cut.box.y, bottom = top + cut.box.height;
    const int first = x;
    while (x < size && xs[x] == xs[first]) x++;  // the same column several times, where the view enlarges
    while (at < runs.length && begin + runs.lengths[at] <= top) begin += runs.lengths[at++];
    int64_t from = begin;
    for (size_t run = at; run < runs.length && from < bottom; from += runs.lengths[run++]) {
      if (run % 2 == 0) continue;  // outside of the mask
      int y = above[std::max(from, top) - top];
      const int end = above[std::min(from + runs.lengths[run], bottom) - top];
      count += int64_t{end - y} * (x - first);
      while (y < end) {
        const int row = y / patch, next = std::min(end, (row + 1) * patch);
        for (int sample = first; sample < x; sample++) {
          const int column = sample / patch;
          counts[row * columns + (cut.flip ? columns - 1 - column : column)] += next - y;
        }
        y = next;
      }
    }
  }
  return count;
}

}  // namespace odis::images
