// Image arithmetic on bytes in host memory, bit for bit Pillow's (where it computes in float32, so do
// we: these files are compiled without contraction into fused multiply-adds).
//
// Nothing here knows LibTorch or starts a thread: callers are many worker threads, each with a
// `Memory` of its own. Pointers and sizes have been checked by addon.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

namespace odis::images {

/// height x width x 3 bytes, row by row.
struct Picture {
  const uint8_t* rgb;
  int width, height;
};

struct Box {
  int x, y, width, height;
};

/// Where a view looks in its picture, and whether it is mirrored left to right.
struct Cut {
  Box box;
  bool flip;
};

/// A mask as run lengths, column by column: outside, inside, outside, ... They sum to the picture's pixels.
struct Runs {
  const uint32_t* lengths;
  size_t length;
};

/// Working memory that is kept between calls: fresh pages of this size would cost faults each time.
/// Contents are left over from before.
class Scratch {
 public:
  template <class T> T* take(size_t count) {
    const size_t bytes = count * sizeof(T) + kAlign;
    if (memory.size() < bytes) memory.resize(bytes);
    const auto at = reinterpret_cast<uintptr_t>(memory.data());
    return reinterpret_cast<T*>((at + kAlign - 1) / kAlign * kAlign);
  }

 private:
  static constexpr size_t kAlign = 64;
  std::vector<uint8_t> memory;
};

/// Weights of one axis, with 22 fractional bits. Output i is the sum over k < 2 * pairs of input
/// `first[i] + k`; weight k is 2^14 times the high part plus the low part. Parts of two neighbours lie
/// in one number each, as the processor's 16-bit multiply-and-add wants them. Windows begin at even inputs, so that
/// every input belongs to one pair only.
struct Filter {
  struct Pair {
    int32_t high, low;
  };
  int pairs;
  std::vector<int32_t> first;
  std::vector<Pair> weights;  // outputs x pairs
};

/// Filters that were made already.
class Filters {
 public:
  const Filter& get(int from, int to);

 private:
  std::map<std::pair<int, int>, Filter> known;
  size_t kept = 0;
};

/// One per thread.
struct Memory {
  Filters filters;
  Scratch lines, pairs, rows, line;            // resampling
  Scratch plane, from, to;                     // blur
  Scratch columns, heights, above;             // masks
  Scratch sums;                                // means
};

/// Cuts the box out, resizes the cut-out to size x size (nothing from outside leaks in), mirrors it:
/// antialiased bicubic. `out` is planar, 3 x size x size.
void resampleBicubic(Memory& memory, const Picture& picture, const Cut& cut, int size, uint8_t* out);

/// A mask under the same cut, resize and mirroring, by nearest neighbour. Returns how many pixels are set.
int64_t resampleNearest(Memory& memory, const uint8_t* mask, int stride, const Cut& cut, int size,
                        uint8_t* out);

/// The mask's pixels in every patch of that view, without the view. `counts` are (size / patch)^2 numbers.
/// Returns their sum.
int64_t countPatches(Memory& memory, const Runs& runs, int height, const Cut& cut, int size, int patch,
                     int32_t* counts);

/// Each pixel becomes the mean of a block of so many columns and rows, or of what there is of it at the edges.
void reduce(Memory& memory, const Picture& picture, int columns, int rows, uint8_t* out);

/// What `change` can do to a view; the order is the protocol's.
enum class Change { kBrightness, kContrast, kSaturation, kHue, kGray, kBlur, kSolarize };
constexpr int kChanges = 7;

/// Changes a planar 3 x size x size view in place.
void change(Memory& memory, uint8_t* pixels, int size, Change what, double amount);

void blur(Memory& memory, uint8_t* pixels, int size, double radius);

}  // namespace odis::images
