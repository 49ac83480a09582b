// Means of blocks of pixels, as Pillow's Image.reduce rounds them.
#include <algorithm>

#include "images.h"

namespace odis::images {

void reduce(Memory& memory, const Picture& picture, int columns, int rows, uint8_t* out) {
  const int width = (picture.width + columns - 1) / columns;
  auto* sums = memory.sums.take<uint64_t>(size_t(width) * 3);
  for (int top = 0; top < picture.height; top += rows) {
    const int height = std::min(rows, picture.height - top);
    std::fill(sums, sums + size_t(width) * 3, 0);
    for (int y = top; y < top + height; y++) {
      const uint8_t* from = picture.rgb + size_t(y) * picture.width * 3;
      for (int x = 0; x < width; x++) {
        uint64_t* sum = sums + size_t(x) * 3;
        const int count = std::min(columns, picture.width - x * columns);
        for (int k = 0; k < count; k++, from += 3)
          for (int c = 0; c < 3; c++) sum[c] += from[c];
      }
    }
    for (int x = 0; x < width; x++) {
      const uint64_t n = uint64_t(height) * std::min(columns, picture.width - x * columns);
      for (int c = 0; c < 3; c++) *out++ = static_cast<uint8_t>((sums[size_t(x) * 3 + c] + n / 2) / n);
    }
  }
}

}  // namespace odis::images
