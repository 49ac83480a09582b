#include "bridge.h"

#include <cstdio>

namespace odis {

namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: integers up to here survive in a double
constexpr size_t kLongestList = 1 << 20;
constexpr size_t kShown = 8;

struct NamedType {
  const char* name;
  at::ScalarType type;
};

constexpr NamedType kTypes[] = {
    {"float32", at::kFloat},           {"float64", at::kDouble},
    {"float16", at::kHalf},            {"bfloat16", at::kBFloat16},
    {"int64", at::kLong},              {"int32", at::kInt},
    {"uint8", at::kByte},              {"bool", at::kBool},
    {"int16", at::kShort},             {"int8", at::kChar},
    {"complex64", at::kComplexFloat},  {"complex128", at::kComplexDouble},
};

std::string shapeText(const at::Tensor& tensor) {
  std::string text = "[";
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    if (axis) text += ", ";
    if (axis == static_cast<int64_t>(kShown)) return text + "…]";
    text += std::to_string(tensor.size(axis));
  }
  return text + "]";
}

}  // namespace

std::string quoted(const std::string& text) {
  size_t end = text.size() > 60 ? 57 : text.size();
  while (end < text.size() && (text[end] & 0xc0) == 0x80) --end;  // not inside a character
  std::string shown = "\"";
  for (size_t at = 0; at < end; ++at) {
    const auto code = static_cast<unsigned char>(text[at]);
    const bool wide = code == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0;  // U+0080 to U+009F
    if (code >= 0x20 && code != 0x7f && !wide) {
      shown += text[at];
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", wide ? static_cast<unsigned char>(text[++at]) : code);
      shown += escaped;
    }
  }
  return shown + (end < text.size() ? "…\"" : "\"");
}

const char* dtypeName(at::ScalarType type) {
  for (const NamedType& known : kTypes)
    if (known.type == type) return known.name;
  return c10::toString(type);
}

at::ScalarType dtypeFrom(const std::string& name) {
  for (const NamedType& known : kTypes)
    if (name == known.name) return known.type;
  refuse("got dtype " + quoted(name) +
         ", wanted float32, float64, float16, bfloat16, int64, int32, uint8 or bool");
}

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::string text = dtypeName(tensor.scalar_type()) + shapeText(tensor);
  if (!tensor.device().is_cpu()) text += " on " + tensor.device().str();
  return text;
}

napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  return type;
}

double toNumber(napi_env env, napi_value value) {
  double number = 0;
  check(env, napi_get_value_double(env, value, &number));
  return number;
}

std::string toText(napi_env env, napi_value value) {
  size_t length = 0;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}

int64_t toInteger(Call& call, napi_value value) {
  const napi_valuetype type = typeOf(call.env, value);
  if (type == napi_number) {
    const double number = toNumber(call.env, value);
    if (std::trunc(number) == number && std::fabs(number) <= kExact) return static_cast<int64_t>(number);
  } else if (type == napi_bigint) {
    int64_t number = 0;
    bool lossless = false;
    check(call.env, napi_get_value_bigint_int64(call.env, value, &number, &lossless));
    if (lossless) return number;
  }
  refuse("got " + describe(call, value) + ", wanted an integer");
}

size_t listLength(napi_env env, napi_value value) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  if (length > kLongestList) {
    refuse("got a list of " + std::to_string(length) + ", wanted at most " +
           std::to_string(kLongestList) + " entries");
  }
  return length;
}

napi_value element(napi_env env, napi_value list, size_t index) {
  napi_value value;
  check(env, napi_get_element(env, list, static_cast<uint32_t>(index), &value));
  return value;
}

double handleOf(const Call& call, napi_value value) {
  const napi_valuetype type = typeOf(call.env, value);
  if (type != napi_object) return 0;
  napi_value key, handle;
  check(call.env, napi_get_reference_value(call.env, call.bridge.handleKey, &key));
  check(call.env, napi_get_property(call.env, value, key, &handle));
  return typeOf(call.env, handle) == napi_number ? toNumber(call.env, handle) : 0;
}

namespace {

[[noreturn]] void refuseFreed(const char* what) {
  throw Refusal(Fault::kFreed,
                std::string("got a ") + what +
                    " that was freed: the scope it was made in has ended, or free() was called; "
                    "return it from tidy(), or keep it with scope.keep()");
}

}  // namespace

at::Tensor& tensorFrom(const Call& call, napi_value value) {
  const double handle = handleOf(call, value);
  if (handle <= 0) refuse("got " + describe(call, value) + ", wanted a Tensor");
  at::Tensor* tensor = call.bridge.tensors.find(handle);
  if (!tensor) refuseFreed("tensor");
  return *tensor;
}

at::Generator& generatorFrom(const Call& call, napi_value value) {
  const double handle = handleOf(call, value);
  if (handle >= 0) refuse("got " + describe(call, value) + ", wanted a Generator");
  at::Generator* generator = call.bridge.generators.find(-handle);
  if (!generator) refuseFreed("generator");
  return *generator;
}

/// A value as an error message shows it: `float32[2, 3]`, `0.5`, `"sum"`, `[2, 3]`.
std::string describe(const Call& call, napi_value value) {
  napi_env env = call.env;
  switch (typeOf(env, value)) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_function: return "a function";
    case napi_symbol: return "a symbol";
    case napi_external: return "a foreign object";
    case napi_boolean: {
      bool flag = false;
      check(env, napi_get_value_bool(env, value, &flag));
      return flag ? "true" : "false";
    }
    case napi_number: {
      napi_value text;
      check(env, napi_coerce_to_string(env, value, &text));
      return toText(env, text);
    }
    case napi_bigint: {
      napi_value text;
      check(env, napi_coerce_to_string(env, value, &text));
      return firstLine(toText(env, text)).substr(0, 40) + "n";
    }
    case napi_string: return quoted(toText(env, value));
    case napi_object: break;
  }
  bool list = false;
  check(env, napi_is_array(env, value, &list));
  if (list) {
    uint32_t length = 0;
    check(env, napi_get_array_length(env, value, &length));
    std::string text = "[";
    for (uint32_t index = 0; index < length; ++index) {
      if (index) text += ", ";
      if (index == kShown) return text + "… " + std::to_string(length) + " entries]";
      napi_value entry = element(env, value, index);
      bool nested = false;
      check(env, napi_is_array(env, entry, &nested));
      text += nested ? "[…]" : describe(call, entry);
    }
    return text + "]";
  }
  const double handle = handleOf(call, value);
  if (handle < 0) return "a generator";
  if (handle == 0) return "an object that is not a tensor";
  at::Tensor* tensor = call.bridge.tensors.find(handle);
  return tensor ? describe(*tensor) : "a freed tensor";
}

bool Call::given(size_t index) const {
  if (index >= argc) return false;
  const napi_valuetype type = typeOf(env, argv[index]);
  return type != napi_undefined && type != napi_null;
}

double Call::number(size_t index, const char* name) {
  if (index >= argc || typeOf(env, argv[index]) != napi_number)
    refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
           ", wanted a number");
  return toNumber(env, argv[index]);
}

int64_t Call::integer(size_t index, const char* name, int64_t least, int64_t most) {
  const napi_valuetype type = index < argc ? typeOf(env, argv[index]) : napi_undefined;
  const double number = type == napi_number ? toNumber(env, argv[index]) : NAN;
  const bool whole = std::trunc(number) == number && std::fabs(number) <= kExact;
  if (whole || type == napi_bigint) {
    const int64_t value = toInteger(*this, argv[index]);
    if (value >= least && value <= most) return value;
  }
  refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
         ", wanted an integer from " + std::to_string(least) + " to " + std::to_string(most));
}

bool Call::flag(size_t index, const char* name) {
  if (index >= argc || typeOf(env, argv[index]) != napi_boolean)
    refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
           ", wanted true or false");
  bool value = false;
  check(env, napi_get_value_bool(env, argv[index], &value));
  return value;
}

std::string Call::text(size_t index, const char* name) {
  if (index >= argc || typeOf(env, argv[index]) != napi_string)
    refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
           ", wanted a string");
  return toText(env, argv[index]);
}

std::vector<int64_t> Call::sizes(size_t index, const char* name) {
  bool list = false;
  if (index < argc) check(env, napi_is_array(env, argv[index], &list));
  if (!list)
    refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
           ", wanted an array of integers");
  std::vector<int64_t> values;
  const size_t length = listLength(env, argv[index]);
  for (size_t at = 0; at < length; ++at) values.push_back(toInteger(*this, element(env, argv[index], at)));
  return values;
}

/// A tensor by its bare handle: how methods of the Tensor class refer to themselves.
at::Tensor& Call::tensor(size_t index) {
  at::Tensor* found = bridge.tensors.find(number(index, "handle"));
  if (!found) refuseFreed("tensor");
  return *found;
}

std::vector<at::Tensor> Call::tensors(size_t index, const char* name) {
  bool list = false;
  if (index < argc) check(env, napi_is_array(env, argv[index], &list));
  if (!list)
    refuse(std::string(name) + " got " + (index < argc ? describe(*this, argv[index]) : "nothing") +
           ", wanted an array of tensors");
  std::vector<at::Tensor> values;
  const size_t length = listLength(env, argv[index]);
  for (size_t at = 0; at < length; ++at) values.push_back(tensorFrom(*this, element(env, argv[index], at)));
  return values;
}

at::Generator& Call::generator(size_t index) {
  at::Generator* found = bridge.generators.find(-number(index, "handle"));
  if (!found) refuseFreed("generator");
  return *found;
}

napi_value Call::give(at::Tensor value) {
  if (!value.defined()) {
    napi_value none;
    check(env, napi_get_null(env, &none));
    return none;
  }
  if (bridge.tensors.full())
    throw Refusal(Fault::kEngine, "16.7 million tensors are alive; free some, or compute in scopes");
  return give(bridge.tensors.put(std::move(value)));
}

napi_value Call::give(double value) {
  napi_value made;
  check(env, napi_create_double(env, value, &made));
  return made;
}

napi_value Call::give(bool value) {
  napi_value made;
  check(env, napi_get_boolean(env, value, &made));
  return made;
}

napi_value Call::give(const std::string& value) {
  napi_value made;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &made));
  return made;
}

napi_value Call::nothing() {
  return nullptr;
}

}  // namespace odis
