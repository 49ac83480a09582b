#include "bridge.h"
#include "process-group.h"

#include <ATen/ScalarOps.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

#include <algorithm>

namespace odis {

namespace {

enum class Kind : uint8_t {
  kTensor, kScalar, kInteger, kFloat, kBool, kText, kDType, kLayout, kMemoryFormat, kDevice,
  kGenerator, kList, kForeign,
};

struct Parameter {
  std::string name;
  std::string type;  // as the schema writes it, for messages
  Kind kind = Kind::kForeign;
  Kind element = Kind::kForeign;  // of a list
  bool optional = false;
  bool optionalElement = false;
  bool written = false;
  int32_t count = 0;  // of a fixed-size list such as int[2], which takes one number for all
  Optional<c10::IValue> fallback;
};

[[noreturn]] void refuse(const std::string& message) {
  throw Refusal(Fault::kOperator, message);
}

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return Kind::kTensor;
    case c10::TypeKind::NumberType: return Kind::kScalar;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::kInteger;
    case c10::TypeKind::FloatType: return Kind::kFloat;
    case c10::TypeKind::BoolType: return Kind::kBool;
    case c10::TypeKind::StringType: return Kind::kText;
    case c10::TypeKind::ScalarTypeType: return Kind::kDType;
    case c10::TypeKind::LayoutType: return Kind::kLayout;
    case c10::TypeKind::MemoryFormatType: return Kind::kMemoryFormat;
    case c10::TypeKind::DeviceObjType: return Kind::kDevice;
    case c10::TypeKind::GeneratorType: return Kind::kGenerator;
    case c10::TypeKind::ListType: return Kind::kList;
    default: return Kind::kForeign;
  }
}

c10::TypePtr unwrap(c10::TypePtr type, bool& optional) {
  optional = type->kind() == c10::TypeKind::OptionalType;
  return optional ? type->expectRef<c10::OptionalType>().getElementType() : type;
}

Parameter parameterOf(const c10::Argument& argument) {
  Parameter parameter;
  parameter.name = argument.name();
  // The real type still tells a dtype or a layout from a plain int.
  const c10::TypePtr type = unwrap(argument.real_type(), parameter.optional);
  parameter.type = argument.real_type()->annotation_str();
  parameter.kind = kindOf(type);
  if (parameter.kind == Kind::kList) {
    parameter.element = kindOf(
        unwrap(type->expectRef<c10::ListType>().getElementType(), parameter.optionalElement));
  }
  parameter.written = argument.alias_info() && argument.alias_info()->isWrite();
  parameter.count = argument.N().value_or(0);
  if (argument.default_value()) parameter.fallback = *argument.default_value();
  return parameter;
}

}  // namespace

/// An operator of the linked library, with its schema unpacked once.
struct Operator {
  explicit Operator(const c10::OperatorHandle& found) : handle(found) {
    const auto& schema = handle.schema();
    name = schema.name();
    if (!schema.overload_name().empty()) name += "." + schema.overload_name();
    for (const auto& argument : schema.arguments()) parameters.push_back(parameterOf(argument));
    samples = name.rfind("aten::upsample_", 0) == 0 && name.find("linear") != std::string::npos;
    if (schema.returns().size() != 1) return;
    // `add_` and `out=` operators return an argument: JavaScript then returns that very object.
    const auto* result = schema.returns()[0].alias_info();
    if (!result || !result->isWrite()) return;
    for (size_t index = 0; index < parameters.size(); ++index) {
      const auto* given = schema.arguments()[index].alias_info();
      if (given && given->beforeSets() == result->beforeSets() &&
          parameters[index].kind == Kind::kTensor) {
        self = static_cast<int>(index);
      }
    }
  }

  c10::OperatorHandle handle;
  std::string name;
  std::vector<Parameter> parameters;
  int self = -1;
  bool samples = false;
};

Bridge::Bridge() = default;
Bridge::~Bridge() = default;

/// `aten::matmul(float32[2, 3], float32[4, 5])`
std::string signature(const Call& call) {
  std::string text = call.op->name + "(";
  size_t given = call.argc;  // arguments left to their defaults at the end are not worth a word
  while (given > 1 && typeOf(call.env, call.argv[given - 1]) == napi_undefined) --given;
  for (size_t index = 1; index < given; ++index) {
    if (index > 1) text += ", ";
    text += describe(call, call.argv[index]);
  }
  return text + ")";
}

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

[[noreturn]] void refuseResult(const at::Tensor& tensor, const char* fate) {
  refuse("gave " + describe(tensor) + ", which has an impossible number of elements" + fate);
}

napi_value resultFrom(Call& call, const c10::IValue& value);

template <class List>
napi_value arrayFrom(Call& call, const List& list) {
  napi_value array;
  check(call.env, napi_create_array_with_length(call.env, list.size(), &array));
  for (size_t index = 0; index < list.size(); ++index) {
    check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(index),
                                     resultFrom(call, c10::IValue(list[index]))));
  }
  return array;
}

/// A tensor becomes its handle, lists become arrays; the TypeScript side knows which from `returns`.
napi_value resultFrom(Call& call, const c10::IValue& value) {
  napi_value made;
  if (value.isNone()) {
    check(call.env, napi_get_null(call.env, &made));
    return made;
  }
  if (value.isTensor()) {
    if (!sound(value.toTensor())) refuseResult(value.toTensor(), "");
    return call.give(value.toTensor());
  }
  if (value.isBool()) return call.give(value.toBool());
  if (value.isDouble()) return call.give(value.toDouble());
  if (value.isInt()) {
    const int64_t number = value.toInt();
    if (number >= -9007199254740991 && number <= 9007199254740991)
      return call.give(static_cast<double>(number));
    check(call.env, napi_create_bigint_int64(call.env, number, &made));
    return made;
  }
  if (value.isString()) return call.give(value.toStringRef());
  if (value.isTensorList()) return arrayFrom(call, value.toTensorVector());
  if (value.isIntList()) return arrayFrom(call, value.toIntVector());
  if (value.isDoubleList()) return arrayFrom(call, value.toDoubleVector());
  refuse("returns " + value.tagKind() + ", which cannot be given to JavaScript");
}

/// Whether only LibTorch itself should call an operator. Such operators count on checks that their
/// public callers have made, and many crash without; `out=` forms write where they are told.
bool isInternal(const std::string& base, const c10::FunctionSchema& schema) {
  const std::string bare = base.substr(base.find("::") + 2);
  const auto starts = [&](const char* prefix) { return bare.rfind(prefix, 0) == 0; };
  if (base.rfind("aten::", 0) != 0) return base.rfind("odis::", 0) != 0;
  // Found by calling every operator with random arguments: these read or write out of bounds.
  for (const char* unsafe : {"choose_qparams_optimized", "histogramdd", "align_tensors", "embedding_bag", "retain_grad",
                             "rrelu_with_noise", "pixel_shuffle"})
    if (bare == unsafe || bare == std::string(unsafe) + "_") return true;
  if ((starts("_") && !starts("_foreach_")) || starts("native_")) return true;
  if (bare.find("backward") != std::string::npos) return true;
  for (const auto& argument : schema.arguments())
    if (argument.kwarg_only() && argument.alias_info() && argument.alias_info()->isWrite()) return true;
  return false;
}

/// `resolve(name, trusted)`: which operator a name means, as {op, self, returns, parameters}.
napi_value resolve(Call& call) {
  const std::string full = call.text(0, "operator");
  const size_t colons = full.find("::");
  const size_t dot = full.find('.', colons == std::string::npos ? 0 : colons);
  const std::string base = full.substr(0, dot);
  const std::string overload = dot == std::string::npos ? "" : full.substr(dot + 1);
  auto& dispatcher = c10::Dispatcher::singleton();
  const auto found = dispatcher.findSchema({base, overload});
  if (!found) {
    std::string others;
    for (const auto& name : dispatcher.getAllOpNames()) {
      if (name.name == base)
        others += (others.empty() ? "" : ", ") + name.name + (name.overload_name.empty() ? "" : "." + name.overload_name);
    }
    refuse("no operator \"" + firstLine(full).substr(0, 100) + "\" in LibTorch " TORCH_VERSION +
           (others.empty() ? "; operators are named as in \"aten::add.Tensor\""
                           : "; there are " + others));
  }
  if (!call.flag(1, "trusted") && isInternal(base, found->schema()))
    refuse("\"" + full + "\" is LibTorch's own: it trusts its arguments and may crash; wanted a public operator");
  auto made = std::make_unique<Operator>(*found);
  call.bridge.operators.push_back(std::move(made));
  const Operator& op = *call.bridge.operators.back();

  napi_value object, returns, parameters;
  check(call.env, napi_create_object(call.env, &object));
  check(call.env, napi_set_named_property(call.env, object, "op",
                                          call.give(static_cast<double>(call.bridge.operators.size() - 1))));
  check(call.env, napi_set_named_property(call.env, object, "self", call.give(static_cast<double>(op.self))));
  check(call.env, napi_create_array(call.env, &returns));
  uint32_t index = 0;
  for (const auto& result : op.handle.schema().returns())
    check(call.env, napi_set_element(call.env, returns, index++, call.give(result.type()->annotation_str())));
  check(call.env, napi_set_named_property(call.env, object, "returns", returns));
  check(call.env, napi_create_array(call.env, &parameters));
  index = 0;
  for (const Parameter& parameter : op.parameters)
    check(call.env, napi_set_element(call.env, parameters, index++,
                                     call.give(parameter.name + ": " + parameter.type)));
  check(call.env, napi_set_named_property(call.env, object, "parameters", parameters));
  return object;
}

/// `call(op, ...arguments)`: runs an operator; gives nothing, one result, or an array of results.
napi_value invoke(Call& call) {
  const double number = call.number(0, "operator");
  if (!(number >= 0) || number >= static_cast<double>(call.bridge.operators.size())) refuse("unknown operator");
  const Operator& op = *call.bridge.operators[static_cast<size_t>(number)];
  call.op = &op;
  if (call.argc - 1 > op.parameters.size()) {
    refuse("got " + std::to_string(call.argc - 1) + " arguments, wanted at most " +
           std::to_string(op.parameters.size()));
  }
  torch::jit::Stack stack;
  stack.reserve(op.parameters.size());
  for (size_t index = 0; index < op.parameters.size(); ++index)
    stack.push_back(argumentFrom(call, op.parameters[index], index));
  if (op.samples) refuseWildScales(op, stack);
  if (op.self < 0) {
    op.handle.callBoxed(&stack);
  } else {
    // Some in-place operators leave an impossible shape behind, even when they throw.
    at::Tensor self = stack[op.self].toTensor();
    const auto freeWhenSpoiled = [&] {
      return !sound(self) && freeTensor(call, handleOf(call, call.argv[op.self + 1]));
    };
    try {
      op.handle.callBoxed(&stack);
    } catch (...) {
      freeWhenSpoiled();
      throw;
    }
    if (freeWhenSpoiled()) refuseResult(self, "; it was freed");
    return call.nothing();
  }
  if (stack.empty()) return call.nothing();
  if (stack.size() == 1) return resultFrom(call, stack[0]);
  return arrayFrom(call, stack);
}

/// `operatorNames()`: every operator of the linked library that has a schema.
napi_value operatorNames(Call& call) {
  napi_value names;
  check(call.env, napi_create_array(call.env, &names));
  uint32_t index = 0;
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (!dispatcher.findSchema(name)) continue;
    const std::string full = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
    check(call.env, napi_set_element(call.env, names, index++, call.give(full)));
  }
  return names;
}

}  // namespace

std::vector<Entry> dispatchEntries() {
  return {{"resolve", resolve}, {"call", invoke}, {"operatorNames", operatorNames}};
}

}  // namespace odis
