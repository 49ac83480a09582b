// Multi-head self-attention on the CPU, read straight out of the qkv projection.
//
//   odis::attention(Tensor qkv, int heads, Tensor? allowed, int first_row) -> Tensor
//   odis::attention_apart(Tensor qkv, int heads, Tensor starts) -> Tensor
//
// Letters: B images, T tokens of an image, H heads, d = head width, D = H * d.
//   qkv      [B, T, 3 * D] contiguous, float32 or float64; a row is q, k, v, each H heads of d.
//   allowed  [B, R, T] bool or uint8: query row first_row + r of image b sees key j where this is
//            not 0, in every head. All other rows see everything.
//   result   [B, T, D], heads side by side, as the output projection wants it. Differentiable once.
//
// `attention_apart` has images of different numbers of tokens one after the other, qkv [rows, 3 * D] and
// result [rows, D]: starts, [B + 1] int64 on the CPU, begins with 0, never falls and ends with the
// number of rows; image b has the rows from starts[b] up to starts[b + 1], which see each other.
//
// Other devices and dtypes go to attention-composed.cc.
//
// A row that may see nothing gives zeros, and no gradient passes through it: NaN would spread, and
// looking for such rows in order to refuse them would cost a pass.
//
// Why not bmm, softmax, bmm: BLAS needs microseconds to begin a product, and with 10-65 tokens that
// is longer than the product itself; permutes copy q, k, v and their gradients. Here one thread
// takes an (image, head) through everything while it is in cache. The order of every sum follows
// from the shape alone, so the result has the same bits on any number of threads.
#include "attention.h"

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace {

// ---- vectors: the compiler's own, so that the same lines serve AVX2, AVX-512 and NEON ----

#ifdef __AVX512F__
constexpr int kVectorBytes = 64;
#else
constexpr int kVectorBytes = 32;
#endif

/// `round`: adding it leaves the nearest integer in the low bits. `ln2`: a short head, whose
/// products with small integers are exact. `terms`: what the series of exp needs for all digits.
template <class F> struct Vector;
template <> struct Vector<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef int32_t ints __attribute__((vector_size(kVectorBytes)));
  static constexpr int mantissa = 23, bias = 127, terms = 7;
  static constexpr float round = 0x1.8p23f, ln2 = 0x1.63p-1f, smallest = -87;
};
template <> struct Vector<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef int64_t ints __attribute__((vector_size(kVectorBytes)));
  static constexpr int mantissa = 52, bias = 1023, terms = 13;
  static constexpr double round = 0x1.8p52, ln2 = 0x1.62e42fefap-1, smallest = -708;
};
template <class F> using Vec = typename Vector<F>::type;
template <class F> constexpr int64_t W = kVectorBytes / sizeof(F);

template <class F> inline Vec<F> load(const F* p) {
  Vec<F> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class F> inline void store(F* p, Vec<F> v) { std::memcpy(p, &v, sizeof v); }

/// Lane l of the result is lane from(l) of a and b side by side. The indices must be constants at
/// compile time, or GCC assembles them lane by lane in every call.
template <class F, class From, size_t... L>
inline Vec<F> shuffleLanes(Vec<F> a, Vec<F> b, From from, std::index_sequence<L...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, from(L)...);
#else
  return __builtin_shuffle(a, b, typename Vector<F>::ints{from(L)...});
#endif
}
template <class F, class From> inline Vec<F> shuffle(Vec<F> a, Vec<F> b, From from) {
  return shuffleLanes<F>(a, b, from, std::make_index_sequence<W<F>>{});
}

/// Combines all lanes, half with half, into every lane.
template <class F, int step = W<F> / 2, class Combine>
inline Vec<F> reduce(Vec<F> v, Combine combine) {
  if constexpr (step > 0) {
    v = combine(v, shuffle<F>(v, v, [](int l) { return l ^ step; }));
    return reduce<F, step / 2>(v, combine);
  }
  return v;
}
template <class F> inline Vec<F> larger(Vec<F> a, Vec<F> b) { return a > b ? a : b; }
template <class F> inline Vec<F> sum(Vec<F> v) {
  return reduce<F>(v, [](Vec<F> a, Vec<F> b) { return a + b; });
}

/// exp(x) for x <= 0 or NaN: 2^n times the series of the rest |r| <= ln(2) / 2, wrong by about one
/// unit in the last place. Below `smallest` exactly 0: what is not allowed must not leak.
template <class F> inline Vec<F> exponential(Vec<F> x) {
  using C = Vector<F>;
  constexpr F ln2Rest = F(0.693147180559945309417232121458L - C::ln2);
  const Vec<F> shifted = x * F(1.442695040888963407) + C::round, n = shifted - C::round;
  const Vec<F> r = (x - n * C::ln2) - n * ln2Rest;
  F inverse[C::terms + 1] = {1};  // 1 / i!
  for (int i = 1; i <= C::terms; i++) inverse[i] = inverse[i - 1] / i;
  Vec<F> series = Vec<F>{} + inverse[C::terms];
#pragma GCC unroll 16
  for (int i = C::terms - 1; i >= 0; i--) series = series * r + inverse[i];
  // Multiplied, not added to the exponent's bits: NaN must stay NaN.
  const auto power = ((typename C::ints)shifted + C::bias) << C::mantissa;
  return x < C::smallest ? Vec<F>{} : series * (Vec<F>)power;
}

// ---- matrix products ----

/// The right side of a product, in panels of 2 W columns: entry (k, n) lies at
/// at[n / 2W * panel + k * row + n % 2W]. Whole vectors are read, so zeros must fill the last one.
template <class F> struct Right {
  const F* at;
  int64_t panel, row;
};

template <class F, int M, int N>
inline void tile(int64_t depth, const F* a, int64_t aRow, int64_t aDepth, const F* b, int64_t bRow,
                 F* c, int64_t cRow, int64_t columns, bool add) {
  constexpr int64_t w = W<F>;
  Vec<F> sums[M][N];
#pragma GCC unroll 6
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 2
    for (int n = 0; n < N; n++) sums[m][n] = Vec<F>{};
  }
  for (int64_t k = 0; k < depth; k++, a += aDepth, b += bRow) {
    Vec<F> right[N];
#pragma GCC unroll 2
    for (int n = 0; n < N; n++) right[n] = load(b + n * w);
#pragma GCC unroll 6
    for (int m = 0; m < M; m++) {
      const F left = a[m * aRow];
#pragma GCC unroll 2
      for (int n = 0; n < N; n++) sums[m][n] += left * right[n];
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 2
    for (int n = 0; n < N; n++) {
      F* to = c + m * cRow + n * w;
      if (columns >= (n + 1) * w) {
        store(to, add ? load(to) + sums[m][n] : sums[m][n]);
      } else {
        F some[w];  // not sums[m][n][l]: a variable index would keep all sums out of registers
        store(some, sums[m][n]);
        for (int64_t l = 0; l < columns - n * w; l++) to[l] = add ? to[l] + some[l] : some[l];
      }
    }
  }
}

/// c [rows, columns] = a b, or += with `add`; a(m, k) is a[m * aRow + k * aDepth]. Numbers of `a`
/// are broadcast one by one, so its transpose (strides exchanged) costs the same.
template <class F>
void multiply(int64_t rows, int64_t columns, int64_t depth, const F* a, int64_t aRow,
              int64_t aDepth, Right<F> b, F* c, int64_t cRow, bool add = false) {
  constexpr int64_t w = W<F>, high = 6;  // 6 x 2 sums, 2 of b, 1 of a: 15 of 16 registers
  const int64_t tiles = (rows + high - 1) / high;
  for (int64_t n = 0; n < columns; n += 2 * w, b.at += b.panel) {
    const int64_t left = columns - n;
    for (int64_t t = 0; t < tiles; t++) {
      // As even as can be: a tile of one row would wait for its own additions.
      const int64_t m = t * rows / tiles, height = (t + 1) * rows / tiles - m;
      const F* from = a + m * aRow;
      F* to = c + m * cRow + n;
#define ODIS_TILE(M)                                                                        \
  case M:                                                                                   \
    left > w ? tile<F, M, 2>(depth, from, aRow, aDepth, b.at, b.row, to, cRow, left, add)   \
             : tile<F, M, 1>(depth, from, aRow, aDepth, b.at, b.row, to, cRow, left, add);  \
    break;
      switch (height) {
        ODIS_TILE(1) ODIS_TILE(2) ODIS_TILE(3) ODIS_TILE(4) ODIS_TILE(5) ODIS_TILE(6)
      }
#undef ODIS_TILE
    }
  }
}

template <class F> constexpr int64_t wholeVectors(int64_t n) { return (n + W<F> - 1) / W<F> * W<F>; }
/// Numbers in the panels of a [depth, columns] right side.
template <class F> constexpr int64_t panelSize(int64_t depth, int64_t columns) {
  return (columns + 2 * W<F> - 1) / (2 * W<F>) * 2 * W<F> * depth;
}

/// A [depth, columns] matrix as a right side. Few rows of whole vectors stay where they are; else
/// they are copied to `space`: rows 3 D apart compete for the same cache lines.
template <class F>
Right<F> asRight(const F* rows, int64_t stride, int64_t depth, int64_t columns, F* space) {
  constexpr int64_t w = W<F>;
  if (depth <= 32 && columns % w == 0) return {rows, 2 * w, stride};
  F* to = space;
  for (int64_t n = 0; n < columns; n += 2 * w) {
    const int64_t width = std::min(columns - n, 2 * w);
    for (int64_t k = 0; k < depth; k++, to += 2 * w) {
      const F* from = rows + k * stride + n;
      if (width == 2 * w) {
        store(to, load(from));
        store(to + w, load(from + w));
      } else {
        for (int64_t l = 0; l < 2 * w; l++) to[l] = l < width ? from[l] : F(0);
      }
    }
  }
  return {space, 2 * w * depth, 2 * w};
}

/// Transposes a W x W block in registers: halves, quarters, ... change places over the diagonal.
template <class F, int step = W<F> / 2> inline void transpose(Vec<F> (&v)[W<F>]) {
  if constexpr (step > 0) {
    constexpr int w = W<F>;
#pragma GCC unroll 16
    for (int i = 0; i < w; i++) {
      if (i & step) continue;
      const Vec<F> a = v[i], b = v[i + step];
      v[i] = shuffle<F>(a, b, [](int l) { return l & step ? w + l - step : l; });
      v[i + step] = shuffle<F>(a, b, [](int l) { return l & step ? w + l : l + step; });
    }
    transpose<F, step / 2>(v);
  }
}

/// The transpose of a [count, width] matrix as a right side [width, count].
template <class F>
Right<F> transposedRight(const F* rows, int64_t stride, int64_t count, int64_t width, F* space) {
  constexpr int64_t w = W<F>;
  for (int64_t first = 0; first < wholeVectors<F>(count); first += w) {
    F* to = space + first / (2 * w) * 2 * w * width + first % (2 * w);
    const int64_t present = std::min(count - first, w);
    const F* from = rows + first * stride;
    int64_t k = 0;
    for (; k + w <= width; k += w) {
      Vec<F> block[w];
      for (int64_t i = 0; i < w; i++) block[i] = i < present ? load(from + i * stride + k) : Vec<F>{};
      transpose<F>(block);
#pragma GCC unroll 16
      for (int64_t i = 0; i < w; i++) store(to + (k + i) * 2 * w, block[i]);
    }
    for (; k < width; k++) {
      for (int64_t i = 0; i < w; i++) to[k * 2 * w + i] = i < present ? from[i * stride + k] : F(0);
    }
  }
  return {space, 2 * w * width, 2 * w};
}

// ---- one image and head ----

/// Queries are taken a block at a time, so that the scores of a long sequence stay in cache.
constexpr int64_t kBlock = 72;

struct Shape {
  int64_t B, T, H, d, R, firstRow;
  const uint8_t* allowed;  // [B, R, T] or null
  const int64_t* starts = nullptr;  // [B + 1] where images differ in their tokens; T is then the most

  int64_t D() const { return H * d; }
  int64_t units() const { return B * H; }
  int64_t rowsBefore(int64_t image) const { return starts ? starts[image] : image * T; }
  int64_t tokens(int64_t unit) const {
    return starts ? starts[unit / H + 1] - starts[unit / H] : T;
  }
  /// Where row 0 of unit = image * H + head begins in [rows, parts * D].
  int64_t start(int64_t unit, int64_t parts) const {
    return rowsBefore(unit / H) * parts * D() + unit % H * d;
  }
  /// Where its numbers begin in [B, H, T].
  int64_t norms(int64_t unit) const {
    return rowsBefore(unit / H) * H + unit % H * tokens(unit);
  }
};

/// The queries of one unit, in blocks as even as can be.
struct Blocks {
  int64_t T, count;
  explicit Blocks(int64_t tokens) : T(tokens), count((tokens + kBlock - 1) / kBlock) {}
  int64_t start(int64_t block) const { return block * T / count; }
  int64_t rows() const { return (T + count - 1) / count; }
};

/// Kept by its thread between calls: fresh memory would be page faults every time.
template <class F> F* scratch(int64_t count) {
  thread_local std::vector<F> kept;
  const size_t needed = count + 64 / sizeof(F);
  if (kept.size() < needed) kept.resize(needed);
  const auto address = reinterpret_cast<uintptr_t>(kept.data());
  return kept.data() + (64 - address % 64) % 64 / sizeof(F);
}

/// Asks for one row of the next unit. Rows lie D apart, which the processor does not foresee; a
/// whole unit at once is more than it can wait for, so every row worked on asks for its counterpart.
template <class F>
inline void prefetchNext(const Shape& s, int64_t unit, int64_t row, const F* tensor, int parts) {
  if (unit + 1 >= s.units() || row >= s.tokens(unit + 1)) return;
  const F* part = tensor + s.start(unit + 1, parts) + row * parts * s.D();
  for (int i = 0; i < parts; i++, part += s.D()) {
    for (int64_t k = 0; k < s.d; k += 64 / sizeof(F)) __builtin_prefetch(part + k);
  }
  asm volatile("");  // else GCC 12 sees a function without effect and drops the calls
}

template <class F> inline Vec<F> laneNumbers() {
  Vec<F> v = {};
#pragma GCC unroll 16
  for (int l = 0; l < W<F>; l++) v[l] = F(l);
  return v;
}

/// Scores that must not count become -inf: keys that this row may not see, and what fills the last
/// vector. False if nothing is left.
template <class F> bool hide(const Shape& s, int64_t b, int64_t T, int64_t row, F* scores) {
  constexpr F never = -std::numeric_limits<F>::infinity();
  // One vector store: after single numbers the next load of the vector would have to wait.
  const int64_t last = wholeVectors<F>(T) - W<F>;
  store(scores + last, laneNumbers<F>() < F(T - last) ? load(scores + last) : Vec<F>{} + never);
  const int64_t r = row - s.firstRow;
  if (r < 0 || r >= s.R) return true;
  const uint8_t* allowed = s.allowed + (b * s.R + r) * T;
  bool any = false;
  for (int64_t j = 0; j < T; j++) {
    any |= allowed[j] != 0;
    scores[j] = allowed[j] ? scores[j] : never;
  }
  return any;
}

/// What makes a probability of a score: exp(score * scale - top) * part. Kept for backward, which
/// so finds the bits of forward again.
template <class F> struct Norm {
  F top, part;
};

/// Turns a row of scores into probabilities in place.
template <class F> Norm<F> softmax(F* row, int64_t count, F scale, bool any) {
  constexpr int64_t w = W<F>;
  if (!any) {
    std::fill(row, row + count, F(0));
    return {std::numeric_limits<F>::infinity(), 0};  // exp(-inf) * 0 when backward asks
  }
  Vec<F> high = load(row);
  for (int64_t j = w; j < count; j += w) high = larger<F>(load(row + j), high);
  const Vec<F> top = reduce<F>(high, larger<F>) * scale;
  Vec<F> total = {};
  for (int64_t j = 0; j < count; j += w) {
    const Vec<F> p = exponential<F>(load(row + j) * scale - top);
    store(row + j, p);
    total += p;
  }
  const Vec<F> part = F(1) / sum<F>(total);
  for (int64_t j = 0; j < count; j += w) store(row + j, load(row + j) * part);
  return {top[0], part[0]};
}

/// Writes out [rows, D] and, where it is not null, norms [B, H, T].
template <class F>
void forwardUnit(const Shape& s, int64_t unit, const F* qkv, F* out, Norm<F>* norms) {
  const int64_t T = s.tokens(unit), d = s.d, D = s.D(), count = wholeVectors<F>(T);
  if (T == 0) return;
  const Blocks blocks(T);
  const F scale = 1 / std::sqrt(F(d));
  F* scores = scratch<F>(blocks.rows() * count + panelSize<F>(d, T) + panelSize<F>(T, d));
  F* keySpace = scores + blocks.rows() * count;
  const F* q = qkv + s.start(unit, 3);
  const Right<F> keys = transposedRight(q + D, 3 * D, T, d, keySpace);
  const Right<F> values = asRight(q + 2 * D, 3 * D, T, d, keySpace + panelSize<F>(d, T));
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t first = blocks.start(block), rows = blocks.start(block + 1) - first;
    multiply(rows, count, d, q + first * 3 * D, 3 * D, int64_t(1), keys, scores, count);
    for (int64_t i = 0; i < rows; i++) {
      F* row = scores + i * count;
      prefetchNext(s, unit, first + i, qkv, 3);
      const bool any = hide(s, unit / s.H, T, first + i, row);
      const Norm<F> norm = softmax(row, count, scale, any);
      if (norms) norms[s.norms(unit) + first + i] = norm;
    }
    F* to = out + s.start(unit, 1) + first * D;
    multiply(rows, d, T, scores, count, int64_t(1), values, to, D);
  }
}

/// The gradient of qkv. The probabilities are computed again: keeping them would save a tenth of
/// the time and cost [B, H, T, T] of memory for every layer until backward.
template <class F>
void backwardUnit(const Shape& s, int64_t unit, const F* qkv, const Norm<F>* norms,
                  const F* gradOut, F* gradQkv) {
  const int64_t T = s.tokens(unit), d = s.d, D = s.D(), count = wholeVectors<F>(T);
  if (T == 0) return;
  const Blocks blocks(T);
  const int64_t square = blocks.rows() * count, wide = panelSize<F>(d, T), tall = panelSize<F>(T, d);
  const F scale = 1 / std::sqrt(F(d));
  F* p = scratch<F>(2 * square + 2 * wide + 3 * tall);
  F *dScores = p + square, *space = dScores + square;
  const F *q = qkv + s.start(unit, 3), *gOut = gradOut + s.start(unit, 1);
  F* gradQ = gradQkv + s.start(unit, 3);
  const Right<F> keysT = transposedRight(q + D, 3 * D, T, d, space);
  const Right<F> valuesT = transposedRight(q + 2 * D, 3 * D, T, d, space + wide);
  space += 2 * wide;
  const Right<F> keys = asRight(q + D, 3 * D, T, d, space);
  Right<F> queries = asRight(q, 3 * D, T, d, space + tall);
  Right<F> grads = asRight(gOut, D, T, d, space + 2 * tall);
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t first = blocks.start(block), rows = blocks.start(block + 1) - first;
    multiply(rows, count, d, q + first * 3 * D, 3 * D, int64_t(1), keysT, p, count);
    multiply(rows, count, d, gOut + first * D, D, int64_t(1), valuesT, dScores, count);
    for (int64_t i = 0; i < rows; i++) {
      F *pRow = p + i * count, *dRow = dScores + i * count;  // dRow is d loss / d probability yet
      prefetchNext(s, unit, first + i, qkv, 3);
      prefetchNext(s, unit, first + i, gradOut, 1);
      hide(s, unit / s.H, T, first + i, pRow);
      const Norm<F> norm = norms[s.norms(unit) + first + i];
      Vec<F> total = {};
      for (int64_t j = 0; j < count; j += W<F>) {
        const Vec<F> v = exponential<F>(load(pRow + j) * scale - norm.top) * norm.part;
        store(pRow + j, v);
        total += v * load(dRow + j);
      }
      const Vec<F> mean = sum<F>(total);
      for (int64_t j = 0; j < count; j += W<F>) {
        store(dRow + j, load(pRow + j) * (load(dRow + j) - mean) * scale);
      }
    }
    const bool add = block > 0;
    multiply(rows, d, T, dScores, count, int64_t(1), keys, gradQ + first * 3 * D, 3 * D);
    multiply(T, d, rows, dScores, int64_t(1), count, queries, gradQ + D, 3 * D, add);
    multiply(T, d, rows, p, int64_t(1), count, grads, gradQ + 2 * D, 3 * D, add);
    queries.at += rows * queries.row;
    grads.at += rows * grads.row;
  }
}

// ---- the operators ----

using odis::MaybeTensor;

/// What this kernel computes; all else is composed.
bool isOurs(const at::Tensor& qkv) {
  return qkv.device().is_cpu() && (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kDouble);
}

/// Who is with whom in an attention: restricted rows, or images one after the other.
struct Sight {
  MaybeTensor allowed;
  int64_t firstRow = 0;
  MaybeTensor starts;
};

Shape checked(const at::Tensor& qkv, int64_t heads, const Sight& sight) {
  const bool apart = sight.starts && sight.starts->defined();
  if (apart) {
    odis::checkAttentionApart(qkv, heads, *sight.starts);
  } else {
    odis::checkAttention(qkv, heads, sight.allowed, sight.firstRow);
  }
  TORCH_CHECK(qkv.is_contiguous(), "odis::attention: qkv must be contiguous, got sizes ",
              qkv.sizes(), " with strides ", qkv.strides());
  const int64_t d = qkv.size(-1) / 3 / heads;
  if (apart) {
    const int64_t* starts = sight.starts->data_ptr<int64_t>();
    const int64_t images = sight.starts->numel() - 1;
    return {images, odis::mostTokens(*sight.starts), heads, d, 0, 0, nullptr, starts};
  }
  Shape s{qkv.size(0), qkv.size(1), heads, d, 0, sight.firstRow, nullptr};
  if (!sight.allowed || !sight.allowed->defined()) return s;
  const at::Tensor& allowed = *sight.allowed;
  TORCH_CHECK(allowed.device().is_cpu() && allowed.is_contiguous(),
              "odis::attention: allowed must be a contiguous CPU tensor");
  s.R = allowed.size(1);
  s.allowed = static_cast<const uint8_t*>(allowed.data_ptr());
  return s;
}

/// The sizes of the result.
std::vector<int64_t> mixedSizes(const at::Tensor& qkv) {
  std::vector<int64_t> sizes = qkv.sizes().vec();
  sizes.back() /= 3;
  return sizes;
}

/// Runs work(unit) for all units on LibTorch's own threads. Not at::parallel_for: that is compiled
/// here, and beside an official LibTorch, which brings an OpenMP of its own, this would start a
/// second crew of threads that fights the first for the cores.
template <class Work> void forEachUnit(const Shape& s, const Work& work) {
  if (s.T == 0 || s.units() == 0) return;
  const at::Tensor units = at::empty({s.units()}, at::kByte);  // only its addresses are used
  const char* base = static_cast<const char*>(units.data_ptr());
  const auto range = [&](char** data, const int64_t*, int64_t count) {
    for (int64_t unit = data[0] - base, end = unit + count; unit < end; unit++) work(unit);
  };
  const int64_t grain = 1 + 100000 / (s.T * s.T * s.d);  // some 10 us: less is not worth a thread
  at::TensorIterator::borrowing_nullary_op(units).for_each(range, grain);
}

template <class F, class To = F> To* pointer(const at::Tensor& t) {
  return t.defined() ? reinterpret_cast<To*>(t.data_ptr<F>()) : nullptr;
}

void forward(const Shape& s, const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& norms) {
  AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "odis::attention", [&] {
    const auto* from = pointer<scalar_t>(qkv);
    auto* to = pointer<scalar_t>(out);
    auto* toNorms = pointer<scalar_t, Norm<scalar_t>>(norms);
    forEachUnit(s, [&](int64_t unit) { forwardUnit(s, unit, from, to, toNorms); });
  });
}

at::Tensor composed(const at::Tensor& qkv, int64_t heads, const Sight& sight) {
  return sight.starts && sight.starts->defined()
             ? odis::composedAttentionApart(qkv, heads, *sight.starts)
             : odis::composedAttention(qkv, heads, sight.allowed, sight.firstRow);
}

at::Tensor mixed(const at::Tensor& qkv, int64_t heads, const Sight& sight) {
  if (!isOurs(qkv)) return composed(qkv, heads, sight);
  const Shape s = checked(qkv, heads, sight);
  const at::Tensor out = at::empty(mixedSizes(qkv), qkv.options());
  forward(s, qkv, out, {});
  return out;
}

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& qkv,
                            int64_t heads, const Sight& sight) {
    const Shape s = checked(qkv, heads, sight);
    const at::Tensor out = at::empty(mixedSizes(qkv), qkv.options());
    const at::Tensor norms = at::empty({out.numel() / s.d, 2}, qkv.options());
    ::forward(s, qkv, out, norms);
    const auto kept = [](const MaybeTensor& one) { return one ? *one : at::Tensor(); };
    context->save_for_backward({qkv, norms, kept(sight.allowed), kept(sight.starts)});
    context->saved_data["heads"] = heads;
    context->saved_data["firstRow"] = sight.firstRow;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradient) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "odis::attention: has no second derivative; call backward without create_graph, or "
                "compose the attention of matmul and softmax");
    const auto saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &norms = saved[1];
    const Sight sight{saved[2], context->saved_data["firstRow"].toInt(), saved[3]};
    const Shape s = checked(qkv, context->saved_data["heads"].toInt(), sight);
    const at::Tensor gradOut = gradient[0].contiguous();  // what sum() sends back is not
    const at::Tensor gradQkv = at::empty(qkv.sizes(), qkv.options());
    AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "odis::attention", [&] {
      const auto *from = pointer<scalar_t>(qkv), *grad = pointer<scalar_t>(gradOut);
      const auto* normsFrom = pointer<scalar_t, Norm<scalar_t>>(norms);
      auto* to = pointer<scalar_t>(gradQkv);
      forEachUnit(s, [&](int64_t unit) { backwardUnit(s, unit, from, normsFrom, grad, to); });
    });
    return {gradQkv, {}, {}};
  }
};

/// Without a gradient to come nothing is kept.
at::Tensor differentiable(const at::Tensor& qkv, int64_t heads, const Sight& sight) {
  const bool differentiate = at::GradMode::is_enabled() && qkv.requires_grad() && isOurs(qkv);
  return differentiate ? Attention::apply(qkv, heads, sight) : mixed(qkv, heads, sight);
}

template <at::Tensor (*compute)(const at::Tensor&, int64_t, const Sight&)>
at::Tensor restricted(const at::Tensor& qkv, int64_t heads, const MaybeTensor& allowed,
                      int64_t firstRow) {
  return compute(qkv, heads, {allowed, firstRow, {}});
}

template <at::Tensor (*compute)(const at::Tensor&, int64_t, const Sight&)>
at::Tensor apart(const at::Tensor& qkv, int64_t heads, const at::Tensor& starts) {
  return compute(qkv, heads, {{}, 0, starts});
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(odis, library) {
  library.def("attention(Tensor qkv, int heads, Tensor? allowed, int first_row) -> Tensor");
  library.def("attention_apart(Tensor qkv, int heads, Tensor starts) -> Tensor");
}
TORCH_LIBRARY_IMPL(odis, CPU, library) {
  library.impl("attention", restricted<mixed>);
  library.impl("attention_apart", apart<mixed>);
}
TORCH_LIBRARY_IMPL(odis, AutogradCPU, library) {
  library.impl("attention", restricted<differentiable>);
  library.impl("attention_apart", apart<differentiable>);
}
