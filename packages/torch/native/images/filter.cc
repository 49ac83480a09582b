// Weights of the antialiased bicubic, as Pillow computes and rounds them.
#include <algorithm>
#include <cmath>

#include "images.h"

namespace odis::images {

namespace {

constexpr int kBits = 22;

/// 16 MiB: every pair of sizes of small images, some hundreds of large ones.
constexpr size_t kMostKept = size_t{1} << 24;

/// Keys' cubic with a = -0.5.
double bicubic(double x) {
  const double a = -0.5, d = std::fabs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

int32_t two(int32_t low, int32_t high) {
  return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xffff) | (static_cast<uint32_t>(high) << 16));
}

/// Windows of +-2 output pixels (+-2 input pixels when enlarging).
Filter make(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0), support = 2 * stretch;
  std::vector<int> starts(to), ends(to);
  int pairs = 0;
  for (int i = 0; i < to; i++) {
    const double center = (i + 0.5) * scale;
    starts[i] = std::max(0, static_cast<int>(center - support + 0.5));
    ends[i] = std::min(from, static_cast<int>(center + support + 0.5));
    pairs = std::max(pairs, (ends[i] - (starts[i] & ~1) + 1) / 2);
  }
  Filter filter{pairs, std::vector<int32_t>(to), std::vector<Filter::Pair>(size_t(to) * pairs)};
  // A pair may reach one input beyond the last; its weight is 0.
  const int last = (from + 1) / 2 * 2 - 2 * pairs;
  std::vector<double> window;
  std::vector<int32_t> weights;
  for (int i = 0; i < to; i++) {
    const double center = (i + 0.5) * scale;
    const int length = ends[i] - starts[i];
    const int first = std::min(starts[i] & ~1, last);
    window.assign(length, 0);
    double total = 0;
    for (int k = 0; k < length; k++) {
      window[k] = bicubic((starts[i] + k - center + 0.5) * (1 / stretch));
      total += window[k];
    }
    weights.assign(2 * pairs, 0);
    for (int k = 0; k < length; k++) {
      const double share = (window[k] / total) * (1 << kBits);
      weights[starts[i] - first + k] = static_cast<int32_t>(share + (share < 0 ? -0.5 : 0.5));
    }
    filter.first[i] = first;
    for (int k = 0; k < pairs; k++) {
      const int32_t a = weights[2 * k], b = weights[2 * k + 1];
      filter.weights[size_t(i) * pairs + k] = {two(a >> 14, b >> 14), two(a & 0x3fff, b & 0x3fff)};
    }
  }
  return filter;
}

}  // namespace

const Filter& Filters::get(int from, int to) {
  const auto key = std::make_pair(from, to);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  Filter made = make(from, to);
  const size_t bytes = made.weights.size() * sizeof(Filter::Pair);
  if (kept + bytes > kMostKept) {
    known.clear();
    kept = 0;
  }
  kept += bytes;
  return known.emplace(key, std::move(made)).first->second;
}

}  // namespace odis::images
