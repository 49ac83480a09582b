// Attention from LibTorch's own operators, for what the kernel of attention.cc does not do: GPUs, and
// the narrow dtypes of mixed precision. Arguments and result are the same.
//
//   odis::attention_composed(Tensor qkv, int heads, Tensor? allowed, int first_row) -> Tensor
//   odis::attention_apart_composed(Tensor qkv, int heads, Tensor starts) -> Tensor
//
// Unrestricted rows go through scaled_dot_product_attention where LibTorch has it: its kernels for
// GPUs never write the [B, H, T, T] scores. A mask would send all rows to a slower kernel, and is a
// [B, H, T, T] tensor itself; so the few restricted rows are a second, small product.
#include "attention.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>

namespace odis {

namespace {

void checkProjection(const at::Tensor& qkv, int64_t heads, int64_t dims, const char* sizes) {
  TORCH_CHECK(qkv.layout() == at::kStrided, "odis::attention: qkv must be dense, got ", qkv.layout());
  TORCH_CHECK(qkv.dim() == dims, "odis::attention: qkv must be ", sizes, ", got ", qkv.sizes());
  TORCH_CHECK(at::isFloatingType(qkv.scalar_type()),
              "odis::attention: qkv must be floating-point numbers, got ", qkv.scalar_type());
  const int64_t width = qkv.size(-1);
  TORCH_CHECK(heads > 0 && heads <= width && width % (3 * heads) == 0,
              "odis::attention: the last size of qkv must be a multiple of 3 * heads, got ",
              qkv.sizes(), " and ", heads, " heads");
}

}  // namespace

void checkAttention(const at::Tensor& qkv, int64_t heads, const MaybeTensor& allowed, int64_t firstRow) {
  checkProjection(qkv, heads, 3, "[B, T, 3 * D]");
  const int64_t images = qkv.size(0), tokens = qkv.size(1);
  if (!allowed || !allowed->defined()) return;
  const auto type = allowed->scalar_type();
  TORCH_CHECK(type == at::kBool || type == at::kByte,
              "odis::attention: allowed must be bool or uint8, got ", type);
  TORCH_CHECK(allowed->dim() == 3 && allowed->size(0) == images && allowed->size(2) == tokens,
              "odis::attention: allowed must be [", images, ", R, ", tokens, "] for this qkv, got ",
              allowed->sizes());
  const int64_t most = tokens - allowed->size(1);
  TORCH_CHECK(firstRow >= 0 && firstRow <= most, "odis::attention: first_row must be 0 to ", most,
              " for ", allowed->size(1), " rows of ", tokens, ", got ", firstRow);
}

void checkAttentionApart(const at::Tensor& qkv, int64_t heads, const at::Tensor& starts) {
  checkProjection(qkv, heads, 2, "[rows, 3 * D]");
  TORCH_CHECK(starts.device().is_cpu() && starts.is_contiguous() && starts.scalar_type() == at::kLong &&
                  starts.dim() == 1 && starts.numel() > 0,
              "odis::attention_apart: starts must be [B + 1] int64, contiguous and on the CPU, got ",
              starts.sizes(), " ", starts.scalar_type(), " on ", starts.device());
  const int64_t* at = starts.data_ptr<int64_t>();
  const int64_t last = starts.numel() - 1;
  for (int64_t b = 0; b < last; b++) {
    TORCH_CHECK(at[b] <= at[b + 1], "odis::attention_apart: starts must never fall, got ", at[b],
                " before ", at[b + 1]);
  }
  TORCH_CHECK(at[0] == 0 && at[last] == qkv.size(0), "odis::attention_apart: starts must go from 0 to the ",
              qkv.size(0), " rows of qkv, got ", at[0], " to ", at[last]);
}

int64_t mostTokens(const at::Tensor& starts) {
  const int64_t* at = starts.data_ptr<int64_t>();
  int64_t most = 0;
  for (int64_t b = 0; b + 1 < starts.numel(); b++) most = std::max(most, at[b + 1] - at[b]);
  return most;
}

namespace {

at::Tensor scores(const at::Tensor& q, const at::Tensor& k) {
  return at::matmul(q, k.transpose(-2, -1)) * std::pow(double(q.size(-1)), -0.5);
}

/// q, k, v [B, H, T, d] -> [B, H, T, d]
at::Tensor everywhere(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
#if __has_include(<ATen/ops/scaled_dot_product_attention.h>)
  return at::scaled_dot_product_attention(q, k, v);
#else
  return at::matmul(at::softmax(scores(q, k), -1), v);
#endif
}

/// q [B, H, R, d], k and v [B, H, T, d], allowed [B, R, T] -> [B, H, R, d]; rows that may see nothing
/// are zeros without a gradient.
at::Tensor restricted(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const at::Tensor& allowed) {
  const at::Tensor hidden = (allowed == 0).unsqueeze(1);
  const at::Tensor all = scores(q, k);
  // Not -inf, of which a row full would be NaN; far enough below any score for exp to give 0.
  const double never = all.scalar_type() == at::kHalf ? -65504. : -1e30;
  const at::Tensor seen = at::softmax(all.masked_fill(hidden, never), -1).masked_fill(hidden, 0);
  return at::matmul(seen.to(v.scalar_type()), v);
}

}  // namespace

at::Tensor composedAttention(const at::Tensor& qkv, int64_t heads, const MaybeTensor& allowed,
                             int64_t firstRow) {
  checkAttention(qkv, heads, allowed, firstRow);
  const int64_t B = qkv.size(0), T = qkv.size(1), D = qkv.size(2) / 3;
  const auto parts = qkv.reshape({B, T, 3, heads, D / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  const at::Tensor &q = parts[0], &k = parts[1], &v = parts[2];
  const int64_t R = allowed && allowed->defined() ? allowed->size(1) : 0;
  const at::Tensor open = everywhere(q, k, v).transpose(1, 2);  // [B, T, H, d]
  if (R == 0) return open.reshape({B, T, D});
  const at::Tensor narrow = restricted(q.narrow(2, firstRow, R), k, v, *allowed).transpose(1, 2);
  const int64_t after = firstRow + R;
  return at::cat({open.narrow(1, 0, firstRow), narrow.to(open.scalar_type()), open.narrow(1, after, T - after)}, 1)
      .reshape({B, T, D});
}

at::Tensor composedAttentionApart(const at::Tensor& qkv, int64_t heads, const at::Tensor& starts) {
  checkAttentionApart(qkv, heads, starts);
  const int64_t images = starts.numel() - 1, most = mostTokens(starts);
  const int64_t* at = starts.data_ptr<int64_t>();
  if (qkv.size(0) == 0) return qkv.narrow(1, 0, qkv.size(1) / 3);
  // All images as long as the longest: what fills up is some row that nobody sees.
  const at::Tensor from = at::zeros({images, most}, at::kLong), there = at::zeros({images, most}, at::kBool);
  const at::Tensor back = at::empty({qkv.size(0)}, at::kLong);
  for (int64_t b = 0, row = 0; b < images; b++) {
    for (int64_t t = 0; t < at[b + 1] - at[b]; t++, row++) {
      from.data_ptr<int64_t>()[b * most + t] = row;
      there.data_ptr<bool>()[b * most + t] = true;
      back.data_ptr<int64_t>()[row] = b * most + t;
    }
  }
  const at::Tensor padded =
      qkv.index_select(0, from.flatten().to(qkv.device())).reshape({images, most, qkv.size(1)});
  const at::Tensor allowed = there.to(qkv.device()).unsqueeze(1).expand({images, most, most});
  return composedAttention(padded, heads, allowed, 0).flatten(0, 1).index_select(0, back.to(qkv.device()));
}

}  // namespace odis

TORCH_LIBRARY_FRAGMENT(odis, library) {
  library.def("attention_composed(Tensor qkv, int heads, Tensor? allowed, int first_row) -> Tensor",
              odis::composedAttention);
  library.def("attention_apart_composed(Tensor qkv, int heads, Tensor starts) -> Tensor",
              odis::composedAttentionApart);
}
TORCH_LIBRARY_IMPL(odis, CompositeImplicitAutograd, library) {
  library.impl("attention", odis::composedAttention);
  library.impl("attention_apart", odis::composedAttentionApart);
}
