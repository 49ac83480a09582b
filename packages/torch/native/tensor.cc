#include "bridge.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/api/include/torch/cuda.h>

#include <cstring>
#include <unordered_set>

namespace odis {

namespace {

/// Host memory of a typed array, valid until JavaScript runs again.
struct View {
  napi_typedarray_type type;
  void* data;
  size_t bytes;
};

const char* viewName(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array: return "Int8Array";
    case napi_uint8_array: return "Uint8Array";
    case napi_uint8_clamped_array: return "Uint8ClampedArray";
    case napi_int16_array: return "Int16Array";
    case napi_uint16_array: return "Uint16Array";
    case napi_int32_array: return "Int32Array";
    case napi_uint32_array: return "Uint32Array";
    case napi_float32_array: return "Float32Array";
    case napi_float64_array: return "Float64Array";
    case napi_bigint64_array: return "BigInt64Array";
    case napi_biguint64_array: return "BigUint64Array";
    default: return "another typed array";
  }
}

size_t viewElement(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array: return 1;
    case napi_int16_array:
    case napi_uint16_array: return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: return 4;
    default: return 8;
  }
}

/// Which typed array carries a dtype; float16 and bfloat16 travel as their bits.
napi_typedarray_type carrier(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return napi_float32_array;
    case at::kDouble: return napi_float64_array;
    case at::kHalf:
    case at::kBFloat16: return napi_uint16_array;
    case at::kLong: return napi_bigint64_array;
    case at::kInt: return napi_int32_array;
    case at::kByte:
    case at::kBool: return napi_uint8_array;
    default: refuse(std::string("dtype ") + dtypeName(type) + " has no typed array; convert it first");
  }
}

View viewFrom(Call& call, size_t index) {
  bool typed = false;
  if (index < call.argc) check(call.env, napi_is_typedarray(call.env, call.argv[index], &typed));
  if (!typed)
    refuse("got " + (index < call.argc ? describe(call, call.argv[index]) : "nothing") + ", wanted a typed array");
  View view{};
  size_t length = 0;
  check(call.env, napi_get_typedarray_info(call.env, call.argv[index], &view.type, &length, &view.data,
                                           nullptr, nullptr));
  view.bytes = length * viewElement(view.type);
  return view;
}

void matchView(const View& view, at::ScalarType type, size_t bytes, const std::string& what) {
  if (view.type != carrier(type))
    refuse(std::string("got a ") + viewName(view.type) + ", wanted a " + viewName(carrier(type)) + " for " + what);
  if (view.bytes != bytes) {
    const size_t element = viewElement(view.type);
    refuse("got " + std::to_string(view.bytes / element) + " elements, wanted " +
           std::to_string(bytes / element) + " for " + what +
           (view.bytes == 0 ? " (was the buffer transferred to another thread?)" : ""));
  }
}

/// `fromBuffer(view, shape, dtype, pinned)`: a new CPU tensor with a copy of the array's elements, in
/// page-locked memory if that is asked for and there is a GPU.
napi_value fromBuffer(Call& call) {
  const std::vector<int64_t> shape = call.sizes(1, "shape");
  const at::ScalarType type = dtypeFrom(call.text(2, "dtype"));
  const bool pinned = call.flag(3, "pinned") && torch::cuda::device_count() > 0;
  const View view = viewFrom(call, 0);  // last: reading a shape may run JavaScript
  int64_t elements = 1;
  bool overflow = false;
  for (const int64_t size : shape) {
    if (size < 0) refuse("got a negative size " + std::to_string(size) + " in the shape");
    overflow = overflow || __builtin_mul_overflow(elements, size, &elements);
  }
  const size_t bytes = static_cast<size_t>(elements) * c10::elementSize(type);
  std::string what = std::string(dtypeName(type)) + "[";
  for (size_t axis = 0; axis < shape.size(); ++axis) what += (axis ? ", " : "") + std::to_string(shape[axis]);
  what += "]";
  if (overflow) refuse("got a shape with too many elements: " + what);
  matchView(view, type, bytes, what);
  at::Tensor made = at::empty(shape, at::TensorOptions().dtype(type).pinned_memory(pinned));
  if (bytes) {
    auto* to = static_cast<uint8_t*>(made.data_ptr());
    const auto* from = static_cast<const uint8_t*>(view.data);
    if (type == at::kBool) {
      for (size_t at = 0; at < bytes; ++at) to[at] = from[at] != 0;  // any other byte is no bool
    } else {
      std::memcpy(to, from, bytes);
    }
  }
  return call.give(std::move(made));
}

/// `read(tensor, view)`: copies the elements, row-major, into a typed array of the dtype.
napi_value read(Call& call) {
  at::Tensor tensor = call.tensor(0);
  if (tensor.layout() != at::kStrided || tensor.is_quantized() || tensor.is_meta())
    refuse("cannot read " + describe(tensor) + ": only plain dense tensors have elements to copy");
  const View early = viewFrom(call, 1);
  matchView(early, tensor.scalar_type(), tensor.numel() * tensor.element_size(), describe(tensor));
  const at::Tensor plain = tensor.detach().resolve_conj().resolve_neg().to(at::kCPU).contiguous();
  if (early.bytes && !plain.data_ptr())
    refuse("cannot read " + describe(tensor) + ": it stands for zeros without memory; add it to something");
  if (early.bytes) std::memcpy(early.data, plain.data_ptr(), early.bytes);
  return call.nothing();
}

/// `item(tensor)`: the only element, as a number or a boolean.
napi_value item(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  if (tensor.numel() != 1)
    throw Refusal(Fault::kShape, "got " + describe(tensor) + ", wanted exactly one element");
  const at::Scalar value = tensor.item();
  if (value.isComplex()) refuse("got " + describe(tensor) + ", wanted a real number");
  if (value.isIntegral(false)) {
    const int64_t whole = value.toLong();
    if (whole < -9007199254740991 || whole > 9007199254740991)
      refuse(std::to_string(whole) + " is no exact JavaScript number; use toArray()");
    return call.give(static_cast<double>(whole));
  }
  if (value.isBoolean()) return call.give(value.toBool() ? 1.0 : 0.0);
  return call.give(value.toDouble());
}

napi_value shape(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  napi_value array;
  const auto sizes = tensor.sizes();
  check(call.env, napi_create_array_with_length(call.env, sizes.size(), &array));
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(axis),
                                     call.give(static_cast<double>(sizes[axis]))));
  }
  return array;
}

napi_value dtype(Call& call) {
  return call.give(std::string(dtypeName(call.tensor(0).scalar_type())));
}

napi_value device(Call& call) {
  return call.give(call.tensor(0).device().str());
}

napi_value size(Call& call) {
  return call.give(static_cast<double>(call.tensor(0).numel()));
}

napi_value alive(Call& call) {
  return call.give(call.bridge.tensors.find(call.number(0, "handle")) != nullptr);
}

/// `free(handle)`: forgets a tensor; a handle that is gone already is no error.
napi_value release(Call& call) {
  freeTensor(call, call.number(0, "handle"));
  return call.nothing();
}

/// `freeAll(handles: Float64Array, count)`: what a scope does when it ends.
napi_value releaseAll(Call& call) {
  const auto count = static_cast<size_t>(call.integer(1, "count", 0, 1 << 24));
  const View view = viewFrom(call, 0);
  if (view.type != napi_float64_array || count * sizeof(double) > view.bytes)
    refuse("got too few handles");
  for (size_t index = 0; index < count; ++index) freeTensor(call, static_cast<double*>(view.data)[index]);
  return call.nothing();
}

/// `track(handle)`: tells V8 the weight of a tensor whose life is the garbage collector's to end.
napi_value track(Call& call) {
  const double handle = call.number(0, "handle");
  const at::Tensor& tensor = call.tensor(0);
  int64_t* reported = call.bridge.tensors.reported(handle);
  if (*reported != 0 || tensor.layout() != at::kStrided) return call.nothing();
  *reported = tensor.numel() * static_cast<int64_t>(tensor.element_size());
  int64_t total = 0;
  check(call.env, napi_adjust_external_memory(call.env, *reported, &total));
  return call.nothing();
}

napi_value liveTensors(Call& call) {
  return call.give(static_cast<double>(call.bridge.tensors.live()));
}

/// `liveBytes()`: memory behind the live handles, storage that several share counted once.
napi_value liveBytes(Call& call) {
  std::unordered_set<const void*> seen;
  double bytes = 0;
  call.bridge.tensors.each([&](const at::Tensor& tensor) {
    if (!tensor.has_storage()) return;
    if (seen.insert(tensor.storage().unsafeGetStorageImpl()).second)
      bytes += static_cast<double>(tensor.storage().nbytes());
  });
  return call.give(bytes);
}

}  // namespace

bool freeTensor(Call& call, double handle) {
  at::Tensor tensor;
  int64_t reported = 0;
  if (!call.bridge.tensors.take(handle, tensor, reported)) return false;
  int64_t total = 0;
  if (reported != 0) napi_adjust_external_memory(call.env, -reported, &total);
  return true;
}

std::vector<Entry> tensorEntries() {
  return {{"fromBuffer", fromBuffer}, {"read", read},     {"item", item},
          {"shape", shape},           {"dtype", dtype},   {"device", device},
          {"size", size},             {"alive", alive},   {"free", release},
          {"freeAll", releaseAll},    {"track", track},   {"liveTensors", liveTensors},
          {"liveBytes", liveBytes}};
}

}  // namespace odis
