#include "operator.h"

#include <algorithm>

// What LibTorch itself does not check. Its public operators mostly do; where calling all of them with
// random arguments brought the process down nevertheless, the reason is refused here.

namespace odis {

namespace {

/// Linear resizing reads wherever a scale of its own points, outside the image too, and crashes.
void refuseWildScales(const Operator& op, const torch::jit::Stack& stack) {
  std::vector<int64_t> from, to;
  size_t axis = 0;
  for (size_t index = 0; index < op.parameters.size(); ++index) {
    const std::string& name = op.parameters[index].name;
    const c10::IValue& value = stack[index];
    if (name == "self") from = value.toTensor().sizes().vec();
    if (name == "input_size") from = value.toIntVector();
    if (name == "output_size" && value.isIntList()) to = value.toIntVector();
    if (name.rfind("scales", 0) != 0) continue;
    const size_t place = axis++;
    if (!value.isDouble() || place >= to.size() || place + 2 >= from.size()) continue;
    const double last = (static_cast<double>(to[place]) - 0.5) / value.toDouble() - 0.5;
    const auto size = static_cast<double>(from[place + 2]);
    if (value.toDouble() > 0 && !(last < size - 0.01))
      refuse(name + " " + std::to_string(value.toDouble()) + " samples at " + std::to_string(last) + " of an axis of " +
             std::to_string(from[place + 2]) + ", wanted output size / scale within it");
  }
}

/// From a tensor without axes LibTorch 1.13 copies one element per index into room for one.
void refuseManyOfOne(const Operator&, const torch::jit::Stack& stack) {
  const at::Tensor self = stack[0].toTensor();
  const at::Tensor index = stack[2].toTensor();
  if (self.dim() == 0 && index.numel() != 1)
    refuse("got " + std::to_string(index.numel()) + " indices into a tensor without axes, wanted one");
}

}  // namespace

Precheck precheckOf(const std::string& base) {
  if (base.rfind("aten::upsample_", 0) == 0 && base.find("linear") != std::string::npos) return refuseWildScales;
  if (base == "aten::index_select") return refuseManyOfOne;
  return nullptr;
}

/// A view may claim any shape, and arithmetic on sizes that overflow corrupts memory later; so a
/// tensor with a negative size or more elements than memory has bytes never reaches JavaScript.
bool sound(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.is_sparse()) return true;
  int64_t elements = 1;
  for (const int64_t size : tensor.sizes()) {
    if (size < 0 || __builtin_mul_overflow(elements, std::max<int64_t>(size, 1), &elements)) return false;
  }
  return elements <= int64_t{1} << 46;
}

/// Internal operators count on checks that their public callers have made, and many crash without;
/// `out=` forms write where they are told.
bool isInternal(const std::string& base, const c10::FunctionSchema& schema) {
  const std::string bare = base.substr(base.find("::") + 2);
  const auto starts = [&](const char* prefix) { return bare.rfind(prefix, 0) == 0; };
  if (base.rfind("aten::", 0) != 0) return base.rfind("odis::", 0) != 0;
  // Found by calling every operator with random arguments: these read or write out of bounds.
  for (const char* unsafe : {"choose_qparams_optimized", "histogramdd", "align_tensors", "embedding_bag", "retain_grad",
                             "rrelu_with_noise", "pixel_shuffle"})
    if (bare == unsafe || bare == std::string(unsafe) + "_") return true;
  if ((starts("_") && !starts("_foreach_")) || starts("native_") || starts("fused_")) return true;
  if (bare.find("backward") != std::string::npos) return true;
  for (const auto& argument : schema.arguments())
    if (argument.kwarg_only() && argument.alias_info() && argument.alias_info()->isWrite()) return true;
  return false;
}

}  // namespace odis
