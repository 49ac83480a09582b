#include "bridge.h"
#include "gradient-buckets.h"

namespace odis {

namespace {

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> list;
    for (const auto& part : {dispatchEntries(), tensorEntries(), autogradEntries(), runtimeEntries(),
                             deviceEntries(), collectiveEntries()})
      list.insert(list.end(), part.begin(), part.end());
    return list;
  }();
  return all;
}

/// `init(handleKey, [EngineError, OperatorError, ShapeError, UseAfterFreeError], warn)`
napi_value init(Call& call) {
  if (call.argc < 3)
    throw Refusal(Fault::kEngine, "wanted the handle key, the error classes and a listener for warnings");
  check(call.env, napi_create_reference(call.env, call.argv[0], 1, &call.bridge.handleKey));
  check(call.env, napi_create_reference(call.env, call.argv[2], 1, &call.bridge.warn));
  for (size_t index = 0; index < kFaults; ++index) {
    check(call.env, napi_create_reference(call.env, element(call.env, call.argv[1], index), 1,
                                          &call.bridge.errorClasses[index]));
  }
  return call.nothing();
}

}  // namespace

napi_value load(napi_env env, napi_value exports) {
  static const Entry start{"init", init};
  prepareProcess();
  listenToWarnings();
  const auto add = [&](const Entry& entry) {
    napi_value function;
    return napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, enter, const_cast<Entry*>(&entry),
                                &function) == napi_ok &&
           napi_set_named_property(env, exports, entry.name, function) == napi_ok;
  };
  const auto forget = [](napi_env, void* bridge, void*) { delete static_cast<Bridge*>(bridge); };
  auto* bridge = new Bridge();
  if (napi_set_instance_data(env, bridge, forget, nullptr) != napi_ok) {
    delete bridge;
    return nullptr;
  }
  bool complete = add(start);
  for (const Entry& entry : entries()) complete = complete && add(entry);
  if (!complete) napi_throw_error(env, nullptr, "internal: the bridge could not export its functions");
  return exports;
}

}  // namespace odis

NAPI_MODULE_INIT() {
  return odis::load(env, exports);
}
