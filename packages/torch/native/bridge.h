#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>
#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>
#else
#include <torch/csrc/api/include/torch/version.h>
#endif

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define NAPI_VERSION 8
#include <node_api.h>

#include "table.h"

#define ODIS_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace odis {

#if ODIS_TORCH_AT_LEAST(2, 4)
template <class T>
using Optional = std::optional<T>;
#else
template <class T>
using Optional = c10::optional<T>;
#endif

/// Which JavaScript class an error becomes; the order is that of `init`'s list of classes.
enum class Fault : uint8_t { kEngine, kOperator, kShape, kFreed };
constexpr size_t kFaults = 4;

/// Something that a caller did wrong, or that went wrong, told in a sentence.
struct Refusal : std::runtime_error {
  Refusal(Fault kind, const std::string& message) : std::runtime_error(message), fault(kind) {}
  Fault fault;
};

/// A JavaScript exception is already on its way; only unwind.
struct Pending {};

struct Operator;
class Collectives;
class GradientBuckets;
class Transfer;

/// What the bridge keeps for one JavaScript environment (the main thread, or one worker).
struct Bridge {
  Bridge();
  ~Bridge();

  napi_ref handleKey = nullptr;
  napi_ref errorClasses[kFaults] = {};
  napi_ref warn = nullptr;
  Table<at::Tensor> tensors;
  Table<at::Generator> generators;
  std::vector<c10::Stream> streams;
  std::vector<std::unique_ptr<Operator>> operators;
  std::shared_ptr<Collectives> collectives;
  Table<std::unique_ptr<Transfer>> transfers;
  Table<std::unique_ptr<GradientBuckets>> buckets;
};

/// One call from JavaScript: its arguments, and what an error message says about it.
struct Call {
  static constexpr size_t kMost = 40;

  napi_env env;
  Bridge& bridge;
  const char* entry;
  size_t argc;
  napi_value argv[kMost];
  const Operator* op = nullptr;

  // Reading arguments. Each throws a Refusal that names the argument when it is something else.
  double number(size_t index, const char* name);
  int64_t integer(size_t index, const char* name, int64_t least, int64_t most);
  bool flag(size_t index, const char* name);
  std::string text(size_t index, const char* name);
  std::vector<int64_t> sizes(size_t index, const char* name);
  at::Tensor& tensor(size_t index);
  std::vector<at::Tensor> tensors(size_t index, const char* name);
  at::Generator& generator(size_t index);
  bool given(size_t index) const;

  // Making results.
  napi_value give(at::Tensor value);
  napi_value give(double value);
  napi_value give(bool value);
  napi_value give(const std::string& value);
  napi_value nothing();
};

using Body = napi_value (*)(Call&);
struct Entry {
  const char* name;
  Body body;
};

// guard.cc
/// Throws the refusal that becomes an OperatorError.
[[noreturn]] void refuse(const std::string& message);
void listenToWarnings();
napi_value enter(napi_env env, napi_callback_info info);
void check(napi_env env, napi_status status);
std::string firstLine(const std::string& text);

// value.cc: single JavaScript values
napi_valuetype typeOf(napi_env env, napi_value value);
std::string describe(const Call& call, napi_value value);
double toNumber(napi_env env, napi_value value);
int64_t toInteger(Call& call, napi_value value);
std::string toText(napi_env env, napi_value value);
size_t listLength(napi_env env, napi_value value);
napi_value element(napi_env env, napi_value list, size_t index);
/// The handle that a Tensor or Generator object carries; 0 when the value is neither.
double handleOf(const Call& call, napi_value value);
at::Tensor& tensorFrom(const Call& call, napi_value value);
at::Generator& generatorFrom(const Call& call, napi_value value);
const char* dtypeName(at::ScalarType type);
at::ScalarType dtypeFrom(const std::string& name);
std::string describe(const at::Tensor& tensor);
/// Text from outside as a message may show it: shortened, and nothing that moves a terminal's cursor.
std::string quoted(const std::string& text);

// device.cc
at::Device deviceFrom(const std::string& name);

// tensor.cc
/// Forgets a tensor; `false` when there was none of this handle.
bool freeTensor(Call& call, double handle);

// operator.cc, dispatch.cc
std::string signature(const Call& call);

// One list of entries per concern.
std::vector<Entry> dispatchEntries();
std::vector<Entry> tensorEntries();
std::vector<Entry> autogradEntries();
std::vector<Entry> runtimeEntries();
std::vector<Entry> deviceEntries();
std::vector<Entry> collectiveEntries();
void prepareProcess();

}  // namespace odis
