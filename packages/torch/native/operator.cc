#include "operator.h"

#include "gradient-buckets.h"

namespace odis {

namespace {

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

Operator::Operator(const c10::OperatorHandle& found) : handle(found) {
  const auto& schema = handle.schema();
  name = schema.name();
  if (!schema.overload_name().empty()) name += "." + schema.overload_name();
  for (const auto& argument : schema.arguments()) parameters.push_back(parameterOf(argument));
  precheck = precheckOf(schema.name());
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

Bridge::Bridge() = default;
Bridge::~Bridge() = default;

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

}  // namespace odis
