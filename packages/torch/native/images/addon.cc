// The way in from JavaScript. Everything is checked here, so that the arithmetic need not: a caller's
// mistake becomes a RangeError that names the function and the argument.
#define NAPI_VERSION 8
#include <node_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "images.h"

namespace odis::images {

namespace {

/// Sides of pictures and views; their products stay far from what 64 bits hold.
constexpr int kMostSide = 1 << 16;
constexpr int kMostView = 1 << 13;
constexpr size_t kMostSteps = 64;
constexpr double kMostAmount = 1000;

constexpr size_t kMostArguments = 16;

struct Call {
  napi_env env;
  Memory& memory;
  size_t count = kMostArguments;
  napi_value arguments[kMostArguments] = {};
};

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

std::string text(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.10g", value);
  return digits;
}

double number(const Call& call, size_t index, const char* name) {
  double value;
  if (index >= call.count || napi_get_value_double(call.env, call.arguments[index], &value) != napi_ok)
    refuse(std::string(name) + " is not a number");
  return value;
}

int whole(const Call& call, size_t index, const char* name, int least, int most) {
  const double value = number(call, index, name);
  if (!(value >= least && value <= most) || value != std::floor(value))
    refuse(std::string(name) + ": got " + text(value) + ", wanted a whole number from " +
           std::to_string(least) + " to " + std::to_string(most));
  return static_cast<int>(value);
}

bool flag(const Call& call, size_t index, const char* name) {
  bool value;
  if (index >= call.count || napi_get_value_bool(call.env, call.arguments[index], &value) != napi_ok)
    refuse(std::string(name) + " is neither true nor false");
  return value;
}

/// An array of this type; its length in elements.
template <class T>
std::pair<T*, size_t> array(const Call& call, size_t index, const char* name, napi_typedarray_type wanted) {
  bool is = false;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (index < call.count) napi_is_typedarray(call.env, call.arguments[index], &is);
  if (!is || napi_get_typedarray_info(call.env, call.arguments[index], &type, &length, &data, nullptr,
                                      nullptr) != napi_ok ||
      (type != wanted && !(wanted == napi_uint8_array && type == napi_uint8_clamped_array)))
    refuse(std::string(name) + " is not an array of the type wanted");
  return {static_cast<T*>(data), length};
}

template <class T>
T* arrayOf(const Call& call, size_t index, const char* name, napi_typedarray_type type, size_t length) {
  const auto [data, got] = array<T>(call, index, name, type);
  if (got != length)
    refuse(std::string(name) + ": got " + std::to_string(got) + " elements, wanted " + std::to_string(length));
  return data;
}

Box box(const Call& call, size_t index, const char* name, int width, int height) {
  const std::string prefix = name;
  const auto part = [&](size_t at, const char* side, int least, int most) {
    return whole(call, index + at, (prefix + "." + side).c_str(), least, most);
  };
  const int x = part(0, "x", 0, width - 1), y = part(1, "y", 0, height - 1);
  return {x, y, part(2, "width", 1, width - x), part(3, "height", 1, height - y)};
}

int viewSize(const Call& call, size_t index) { return whole(call, index, "size", 1, kMostView); }

/// Pairs of what to do and how much, read once and checked.
std::vector<std::pair<Change, double>> steps(const Call& call, size_t index) {
  const auto [data, length] = array<double>(call, index, "steps", napi_float64_array);
  if (length % 2 != 0 || length > 2 * kMostSteps)
    refuse("steps: got " + std::to_string(length) + " numbers, wanted pairs, at most " +
           std::to_string(kMostSteps) + " of them");
  std::vector<std::pair<Change, double>> list;
  for (size_t at = 0; at < length; at += 2) {
    const double what = data[at], amount = data[at + 1];
    if (!(what >= 0 && what < kChanges) || what != std::floor(what))
      refuse("steps: there is no change " + text(what));
    const auto change = static_cast<Change>(static_cast<int>(what));
    const double least = change == Change::kBlur ? 0 : -kMostAmount;
    if (!(amount >= least && amount <= kMostAmount))
      refuse("steps: the amount " + text(amount) + " is not from " + text(least) + " to " + text(kMostAmount));
    list.emplace_back(change, amount);
  }
  return list;
}

napi_value give(const Call& call, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(call.env, value, &result);
  return result;
}

/// draw(rgb, width, height, x, y, boxWidth, boxHeight, flip, size, out, steps)
napi_value draw(Call& call) {
  const int width = whole(call, 1, "width", 1, kMostSide), height = whole(call, 2, "height", 1, kMostSide);
  const auto* rgb = arrayOf<uint8_t>(call, 0, "rgb", napi_uint8_array, size_t(width) * height * 3);
  const Cut cut{box(call, 3, "box", width, height), flag(call, 7, "flip")};
  const int size = viewSize(call, 8);
  auto* out = arrayOf<uint8_t>(call, 9, "out", napi_uint8_array, size_t(size) * size * 3);
  const auto changes = steps(call, 10);
  resampleBicubic(call.memory, {rgb, width, height}, cut, size, out);
  for (const auto& [what, amount] : changes) change(call.memory, out, size, what, amount);
  return nullptr;
}

/// recolor(pixels, size, steps)
napi_value recolor(Call& call) {
  const int size = viewSize(call, 1);
  auto* pixels = arrayOf<uint8_t>(call, 0, "pixels", napi_uint8_array, size_t(size) * size * 3);
  for (const auto& [what, amount] : steps(call, 2)) change(call.memory, pixels, size, what, amount);
  return nullptr;
}

/// nearest(mask, width, height, x, y, boxWidth, boxHeight, flip, size, out) -> pixels set
napi_value nearest(Call& call) {
  const int width = whole(call, 1, "width", 1, kMostSide), height = whole(call, 2, "height", 1, kMostSide);
  const auto* mask = arrayOf<uint8_t>(call, 0, "mask", napi_uint8_array, size_t(width) * height);
  const Cut cut{box(call, 3, "box", width, height), flag(call, 7, "flip")};
  const int size = viewSize(call, 8);
  auto* out = arrayOf<uint8_t>(call, 9, "out", napi_uint8_array, size_t(size) * size);
  return give(call, resampleNearest(call.memory, mask, width, cut, size, out));
}

/// patches(runs, width, height, x, y, boxWidth, boxHeight, flip, size, patch, counts) -> pixels set
napi_value patches(Call& call) {
  const int width = whole(call, 1, "width", 1, kMostSide), height = whole(call, 2, "height", 1, kMostSide);
  const auto [lengths, length] = array<uint32_t>(call, 0, "runs", napi_uint32_array);
  uint64_t sum = 0;
  for (size_t run = 0; run < length; run++) sum += lengths[run];
  if (sum != uint64_t(width) * height)
    refuse("runs: got " + std::to_string(sum) + " pixels in them, wanted " + std::to_string(uint64_t(width) * height));
  const Cut cut{box(call, 3, "box", width, height), flag(call, 7, "flip")};
  const int size = viewSize(call, 8), patch = whole(call, 9, "patch", 1, size);
  if (size % patch != 0)
    refuse("patch: got " + std::to_string(patch) + ", wanted a divisor of " + std::to_string(size));
  const int side = size / patch;
  auto* counts = arrayOf<int32_t>(call, 10, "counts", napi_int32_array, size_t(side) * side);
  return give(call, countPatches(call.memory, {lengths, length}, height, cut, size, patch, counts));
}

/// reduce(rgb, width, height, columns, rows, out)
napi_value reducePicture(Call& call) {
  const int width = whole(call, 1, "width", 1, kMostSide), height = whole(call, 2, "height", 1, kMostSide);
  const auto* rgb = arrayOf<uint8_t>(call, 0, "rgb", napi_uint8_array, size_t(width) * height * 3);
  const int columns = whole(call, 3, "columns", 1, width), rows = whole(call, 4, "rows", 1, height);
  const size_t pixels = size_t((width + columns - 1) / columns) * ((height + rows - 1) / rows);
  auto* out = arrayOf<uint8_t>(call, 5, "out", napi_uint8_array, pixels * 3);
  reduce(call.memory, {rgb, width, height}, columns, rows, out);
  return nullptr;
}

struct Entry {
  const char* name;
  napi_value (*body)(Call&);
};
constexpr Entry kEntries[] = {{"draw", draw}, {"recolor", recolor}, {"nearest", nearest}, {"patches", patches}, {"reduce", reducePicture}};

/// Nothing thrown inside gets past this.
napi_value enter(napi_env env, napi_callback_info info) {
  void *data = nullptr, *memory = nullptr;
  size_t count = kMostArguments;
  napi_value arguments[kMostArguments];
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok ||
      napi_get_instance_data(env, &memory) != napi_ok || !memory) {
    napi_throw_error(env, nullptr, "internal: images were asked for outside their environment");
    return nullptr;
  }
  const auto* entry = static_cast<const Entry*>(data);
  Call call{env, *static_cast<Memory*>(memory), count < kMostArguments ? count : kMostArguments};
  std::copy(arguments, arguments + call.count, call.arguments);
  const auto raise = [&](decltype(&napi_throw_error) how, const char* what) {
    how(env, nullptr, (std::string(entry->name) + ": " + what).c_str());
  };
  try {
    return entry->body(call);
  } catch (const std::invalid_argument& refusal) {
    raise(napi_throw_range_error, refusal.what());
  } catch (const std::bad_alloc&) {
    raise(napi_throw_error, "out of memory");
  } catch (const std::exception& error) {
    raise(napi_throw_error, error.what());
  }
  return nullptr;
}

}  // namespace

napi_value load(napi_env env, napi_value exports) {
  auto* memory = new Memory();
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Memory*>(data); };
  if (napi_set_instance_data(env, memory, forget, nullptr) != napi_ok) {
    delete memory;
    return nullptr;
  }
  for (const Entry& entry : kEntries) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, enter, const_cast<Entry*>(&entry), &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, entry.name, function) != napi_ok)
      napi_throw_error(env, nullptr, "internal: the addon could not export its functions");
  }
  return exports;
}

}  // namespace odis::images

NAPI_MODULE_INIT() { return odis::images::load(env, exports); }
