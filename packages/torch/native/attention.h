#pragma once

#include <ATen/core/Tensor.h>

namespace odis {

using MaybeTensor = c10::optional<at::Tensor>;

/// Throws a sentence unless sizes and dtypes are those of an attention, see attention.cc.
void checkAttention(const at::Tensor& qkv, int64_t heads, const MaybeTensor& allowed, int64_t firstRow);

/// The same for an attention of images one after the other.
void checkAttentionApart(const at::Tensor& qkv, int64_t heads, const at::Tensor& starts);

/// The most tokens that an image has.
int64_t mostTokens(const at::Tensor& starts);

/// Attention from LibTorch's own operators: on any device, in any floating dtype.
at::Tensor composedAttention(const at::Tensor& qkv, int64_t heads, const MaybeTensor& allowed,
                             int64_t firstRow);
at::Tensor composedAttentionApart(const at::Tensor& qkv, int64_t heads, const at::Tensor& starts);

}  // namespace odis
