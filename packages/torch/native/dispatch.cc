#include "operator.h"

namespace odis {

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
  if (op.precheck) op.precheck(op, stack);
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

}  // namespace

std::vector<Entry> dispatchEntries() {
  return {{"resolve", resolve}, {"call", invoke}, {"operatorNames", operatorNames}};
}

}  // namespace odis
