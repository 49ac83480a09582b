#include "bridge.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

namespace odis {

namespace {

napi_value requiresGrad(Call& call) {
  return call.give(call.tensor(0).requires_grad());
}

napi_value setRequiresGrad(Call& call) {
  const bool on = call.flag(1, "requiresGrad");
  call.tensor(0).requires_grad_(on);
  return call.nothing();
}

napi_value isLeaf(Call& call) {
  return call.give(call.tensor(0).is_leaf());
}

napi_value grad(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  // Asking a non-leaf for its gradient prints a warning; it never has one here.
  if (!tensor.is_leaf()) return call.give(at::Tensor());
  return call.give(tensor.grad());
}

/// `setGrad(tensor, gradient | undefined)`
napi_value setGrad(Call& call) {
  at::Tensor gradient;
  if (call.given(1)) gradient = tensorFrom(call, call.argv[1]);
  at::Tensor& tensor = call.tensor(0);
  if (gradient.defined() && (gradient.sizes() != tensor.sizes() ||
                             gradient.scalar_type() != tensor.scalar_type() ||
                             gradient.device() != tensor.device())) {
    throw Refusal(Fault::kShape, "got a gradient " + describe(gradient) + " for " + describe(tensor) +
                                     ", wanted the same shape, dtype and device");
  }
  tensor.mutable_grad() = gradient;
  return call.nothing();
}

std::vector<at::Tensor> optionalTensors(Call& call, size_t index, const char* name) {
  return call.given(index) ? call.tensors(index, name) : std::vector<at::Tensor>();
}

/// `backward(roots, gradients, retainGraph, createGraph)`
napi_value backward(Call& call) {
  const auto roots = call.tensors(0, "roots");
  const auto gradients = optionalTensors(call, 1, "gradients");
  const bool retain = call.flag(2, "retainGraph");
  torch::autograd::backward(roots, gradients, retain, call.flag(3, "createGraph"));
  return call.nothing();
}

/// `gradients(outputs, inputs, gradients, retainGraph, createGraph)`: handles, null where unused.
napi_value gradients(Call& call) {
  const auto outputs = call.tensors(0, "outputs");
  const auto inputs = call.tensors(1, "inputs");
  const auto given = optionalTensors(call, 2, "gradients");
  const bool retain = call.flag(3, "retainGraph");
  const auto found = torch::autograd::grad(outputs, inputs, given, retain,
                                           call.flag(4, "createGraph"), /*allow_unused=*/true);
  napi_value array;
  check(call.env, napi_create_array_with_length(call.env, found.size(), &array));
  for (size_t index = 0; index < found.size(); ++index)
    check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(index), call.give(found[index])));
  return array;
}

napi_value gradEnabled(Call& call) {
  return call.give(c10::GradMode::is_enabled());
}

napi_value setGradEnabled(Call& call) {
  c10::GradMode::set_enabled(call.flag(0, "enabled"));
  return call.nothing();
}

/// `setAutocast(device, dtype | null)`: mixed precision on or off for this thread; gives what was.
napi_value setAutocast(Call& call) {
  const at::DeviceType kind = deviceFrom(call.text(0, "device")).type();
  const bool cpu = kind == at::kCPU;
  const bool on = call.given(1);
  const at::ScalarType type = on ? dtypeFrom(call.text(1, "dtype")) : at::kFloat;
  if (on && type != at::kBFloat16 && (type != at::kHalf || cpu)) {
    throw Refusal(Fault::kOperator, std::string("got dtype ") + dtypeName(type) + ", wanted bfloat16" +
                                        (cpu ? " on the CPU" : " or float16"));
  }
  std::string before;
#if ODIS_TORCH_AT_LEAST(2, 4)
  if (at::autocast::is_autocast_enabled(kind)) before = dtypeName(at::autocast::get_autocast_dtype(kind));
  if (on) at::autocast::set_autocast_dtype(kind, type);
  at::autocast::set_autocast_enabled(kind, on);
#else
  if (cpu) {
    if (at::autocast::is_cpu_enabled()) before = dtypeName(at::autocast::get_autocast_cpu_dtype());
    if (on) at::autocast::set_autocast_cpu_dtype(type);
    at::autocast::set_cpu_enabled(on);
  } else {
    if (at::autocast::is_enabled()) before = dtypeName(at::autocast::get_autocast_gpu_dtype());
    if (on) at::autocast::set_autocast_gpu_dtype(type);
    at::autocast::set_enabled(on);
  }
#endif
  // Weights cast once per region: the cache must not outlive an update of the weights.
  at::autocast::clear_cache();
  napi_value none;
  if (!before.empty()) return call.give(before);
  check(call.env, napi_get_null(call.env, &none));
  return none;
}

}  // namespace

std::vector<Entry> autogradEntries() {
  return {{"requiresGrad", requiresGrad}, {"setRequiresGrad", setRequiresGrad},
          {"isLeaf", isLeaf},             {"grad", grad},
          {"setGrad", setGrad},           {"backward", backward},
          {"gradients", gradients},       {"gradEnabled", gradEnabled},
          {"setGradEnabled", setGradEnabled}, {"setAutocast", setAutocast}};
}

}  // namespace odis
