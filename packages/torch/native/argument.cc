#include "operator.h"

#include <ATen/ScalarOps.h>

#include <cmath>

namespace odis {

namespace {

[[noreturn]] void mismatch(const Call& call, napi_value value, const char* wanted) {
  refuse("got " + describe(call, value) + ", wanted " + wanted);
}

at::Scalar scalarFrom(Call& call, napi_value value) {
  switch (typeOf(call.env, value)) {
    case napi_boolean: {
      bool flag = false;
      check(call.env, napi_get_value_bool(call.env, value, &flag));
      return flag;
    }
    case napi_bigint: return toInteger(call, value);
    case napi_number: {
      // JavaScript has one kind of number: a whole one counts as an integer, so that integer
      // tensors stay integer; -0 is no integer.
      const double number = toNumber(call.env, value);
      if (std::trunc(number) == number && std::fabs(number) <= 9007199254740992.0 &&
          !(number == 0 && std::signbit(number))) {
        return static_cast<int64_t>(number);
      }
      return number;
    }
    default: mismatch(call, value, "a number");
  }
}

double floatFrom(Call& call, napi_value value) {
  if (typeOf(call.env, value) != napi_number) mismatch(call, value, "a number");
  return toNumber(call.env, value);
}

bool boolFrom(Call& call, napi_value value) {
  if (typeOf(call.env, value) != napi_boolean) mismatch(call, value, "true or false");
  bool flag = false;
  check(call.env, napi_get_value_bool(call.env, value, &flag));
  return flag;
}

std::string textFrom(Call& call, napi_value value, const char* wanted) {
  if (typeOf(call.env, value) != napi_string) mismatch(call, value, wanted);
  return toText(call.env, value);
}

at::Tensor operandFrom(Call& call, const Parameter& parameter, napi_value value) {
  const napi_valuetype type = typeOf(call.env, value);
  if (parameter.written || (type != napi_number && type != napi_boolean && type != napi_bigint))
    return tensorFrom(call, value);
  // As in PyTorch, a number beside a tensor does not decide the result's dtype.
  at::Tensor wrapped = c10::scalar_to_tensor(scalarFrom(call, value));
  wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
  return wrapped;
}

int64_t layoutFrom(const std::string& name) {
  if (name == "strided") return static_cast<int64_t>(at::kStrided);
  refuse("got layout \"" + name + "\", wanted \"strided\"");
}

int64_t memoryFormatFrom(const std::string& name) {
  if (name == "contiguous") return static_cast<int64_t>(at::MemoryFormat::Contiguous);
  if (name == "preserve") return static_cast<int64_t>(at::MemoryFormat::Preserve);
  if (name == "channels_last") return static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
  if (name == "channels_last_3d") return static_cast<int64_t>(at::MemoryFormat::ChannelsLast3d);
  refuse("got memory format \"" + name +
         "\", wanted contiguous, preserve, channels_last or channels_last_3d");
}

bool isNothing(Call& call, napi_value value) {
  const napi_valuetype type = typeOf(call.env, value);
  return type == napi_undefined || type == napi_null;
}

/// Kernels read a fixed-size list such as int[2] without asking for its length, so one entry is
/// repeated and any other number refused. (int[1] only means that a number may stand for a list.)
template <class Item>
void makeLength(c10::List<Item>& list, const Parameter& parameter) {
  const size_t count = parameter.count;
  if (count < 2 || list.size() == count) return;
  if (list.empty() && parameter.fallback && parameter.fallback->isList() &&
      parameter.fallback->toListRef().empty())
    return;
  if (list.size() != 1)
    refuse("got " + std::to_string(list.size()) + " entries, wanted " + std::to_string(count) + ", or one for all");
  const Item item = list.get(0);
  while (list.size() < count) list.push_back(item);
}

template <class Item, class Convert>
c10::List<Item> listFrom(Call& call, const Parameter& parameter, napi_value value, Convert convert) {
  bool array = false;
  check(call.env, napi_is_array(call.env, value, &array));
  c10::List<Item> list;
  if (array) {
    const size_t length = listLength(call.env, value);
    list.reserve(length);
    for (size_t index = 0; index < length; ++index) list.push_back(convert(element(call.env, value, index)));
  } else {
    if (parameter.count == 0 || typeOf(call.env, value) == napi_object) mismatch(call, value, "an array");
    list.push_back(convert(value));
  }
  makeLength(list, parameter);
  return list;
}

c10::IValue listFrom(Call& call, const Parameter& parameter, napi_value value) {
  switch (parameter.element) {
    case Kind::kTensor:
      if (parameter.optionalElement) {
        return listFrom<Optional<at::Tensor>>(call, parameter, value, [&](napi_value item) {
          return isNothing(call, item) ? Optional<at::Tensor>() : Optional<at::Tensor>(tensorFrom(call, item));
        });
      }
      return listFrom<at::Tensor>(call, parameter, value, [&](napi_value item) { return tensorFrom(call, item); });
    case Kind::kInteger:
      return listFrom<int64_t>(call, parameter, value, [&](napi_value item) { return toInteger(call, item); });
    case Kind::kFloat:
      return listFrom<double>(call, parameter, value, [&](napi_value item) { return floatFrom(call, item); });
    case Kind::kBool:
      return listFrom<bool>(call, parameter, value, [&](napi_value item) { return boolFrom(call, item); });
    case Kind::kScalar: {
      bool array = false;
      check(call.env, napi_is_array(call.env, value, &array));
      if (!array) mismatch(call, value, "an array of numbers");
      c10::impl::GenericList list(c10::NumberType::get());
      const size_t length = listLength(call.env, value);
      for (size_t index = 0; index < length; ++index)
        list.push_back(c10::IValue(scalarFrom(call, element(call.env, value, index))));
      return list;
    }
    default: refuse("takes " + parameter.type + ", which cannot be given from JavaScript");
  }
}

c10::IValue valueFrom(Call& call, const Parameter& parameter, napi_value value) {
  switch (parameter.kind) {
    case Kind::kTensor: return operandFrom(call, parameter, value);
    case Kind::kScalar: return scalarFrom(call, value);
    case Kind::kInteger: return toInteger(call, value);
    case Kind::kFloat: return floatFrom(call, value);
    case Kind::kBool: return boolFrom(call, value);
    case Kind::kText: return textFrom(call, value, "a string");
    case Kind::kDType: return static_cast<int64_t>(dtypeFrom(textFrom(call, value, "the name of a dtype")));
    case Kind::kLayout: return layoutFrom(textFrom(call, value, "the name of a layout"));
    case Kind::kMemoryFormat: return memoryFormatFrom(textFrom(call, value, "the name of a memory format"));
    case Kind::kDevice: return deviceFrom(textFrom(call, value, "the name of a device"));
    case Kind::kGenerator: return generatorFrom(call, value);
    case Kind::kList: return listFrom(call, parameter, value);
    case Kind::kForeign: break;
  }
  refuse("takes " + parameter.type + ", which cannot be given from JavaScript");
}

}  // namespace

c10::IValue argumentFrom(Call& call, const Parameter& parameter, size_t index) {
  const size_t position = index + 1;  // argv[0] is the operator
  const bool absent = position >= call.argc || typeOf(call.env, call.argv[position]) == napi_undefined;
  if (absent && parameter.fallback) return *parameter.fallback;
  if (parameter.optional && (absent || isNothing(call, call.argv[position]))) return c10::IValue();
  try {
    if (absent) refuse("is missing");
    return valueFrom(call, parameter, call.argv[position]);
  } catch (const Refusal& refusal) {
    throw Refusal(refusal.fault, "argument " + std::to_string(position) + " (" + parameter.name +
                                     ": " + parameter.type + ") " + refusal.what());
  }
}

}  // namespace odis
