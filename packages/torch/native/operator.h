#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

#include "bridge.h"

namespace odis {

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

struct Operator;
using Precheck = void (*)(const Operator&, const torch::jit::Stack&);

/// An operator of the linked library, with its schema unpacked once.
struct Operator {
  explicit Operator(const c10::OperatorHandle& found);

  c10::OperatorHandle handle;
  std::string name;
  std::vector<Parameter> parameters;
  int self = -1;  // which argument an in-place operator returns
  Precheck precheck = nullptr;
};

// argument.cc
/// The argument at an index of the schema, converted by its type, or its default.
c10::IValue argumentFrom(Call& call, const Parameter& parameter, size_t index);

// operator.cc
napi_value resolve(Call& call);
napi_value operatorNames(Call& call);

// safety.cc
/// Whether only LibTorch itself should call an operator.
bool isInternal(const std::string& base, const c10::FunctionSchema& schema);
/// What must be checked before the operator of this name may run, or nullptr.
Precheck precheckOf(const std::string& base);
/// Whether a tensor has a shape that memory can hold.
bool sound(const at::Tensor& tensor);

}  // namespace odis
