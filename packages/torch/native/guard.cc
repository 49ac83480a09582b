#include "bridge.h"

#include <c10/util/Exception.h>

#include <utility>

namespace odis {

void refuse(const std::string& message) {
  throw Refusal(Fault::kOperator, message);
}

std::string firstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// Turns a failed Node-API call into an exception that unwinds to `enter`.
void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw Pending();
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw Refusal(Fault::kEngine, std::string("internal: ") +
                                    (info && info->error_message ? info->error_message
                                                                 : "Node-API refused a call"));
}

namespace {

/// Collects what LibTorch warns of, which it would print with C++ file names in between.
class Listener : public c10::WarningHandler {
 public:
#if ODIS_TORCH_AT_LEAST(2, 0)
  void process(const c10::Warning& warning) override { keep(warning.msg()); }
#else
  void process(const c10::SourceLocation&, const std::string& message, const bool) override { keep(message); }
#endif
  std::vector<std::string> heard;

 private:
  void keep(const std::string& message) {
    if (heard.size() < 8) heard.push_back(firstLine(message));
  }
};

thread_local Listener listener;

/// Hands warnings to JavaScript; only where no exception is on its way.
void passWarningsOn(napi_env env, const Bridge& bridge) {
  const std::vector<std::string> heard = std::exchange(listener.heard, {});
  napi_value warn, self, text, ignored;
  if (!bridge.warn || napi_get_reference_value(env, bridge.warn, &warn) != napi_ok ||
      napi_get_undefined(env, &self) != napi_ok)
    return;
  for (const std::string& message : heard) {
    if (napi_create_string_utf8(env, message.data(), message.size(), &text) != napi_ok ||
        napi_call_function(env, self, warn, 1, &text, &ignored) != napi_ok)
      return;
  }
}

/// Throws a JavaScript error of the fault's class. Must not throw C++ exceptions itself.
void raise(napi_env env, Bridge* bridge, Fault fault, const std::string& message) {
  napi_value text, error, made;
  if (napi_create_string_utf8(env, message.data(), message.size(), &text) != napi_ok) return;
  napi_value type = nullptr;
  napi_ref reference = bridge ? bridge->errorClasses[static_cast<size_t>(fault)] : nullptr;
  if (reference && napi_get_reference_value(env, reference, &type) == napi_ok && type &&
      napi_new_instance(env, type, 1, &text, &made) == napi_ok) {
    napi_throw(env, made);
  } else if (napi_create_error(env, nullptr, text, &error) == napi_ok) {
    napi_throw(env, error);
  }
}

std::string prefix(const Call& call) {
  try {
    return (call.op ? signature(call) : std::string(call.entry)) + ": ";
  } catch (...) {
    return std::string(call.entry) + ": ";
  }
}

}  // namespace

/// Once per thread.
void listenToWarnings() {
#if ODIS_TORCH_AT_LEAST(2, 0)
  c10::WarningUtils::set_warning_handler(&listener);
#else
  c10::Warning::set_warning_handler(&listener);
#endif
}

/// The one way from JavaScript into C++: nothing thrown inside gets past it.
napi_value enter(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  void* instance = nullptr;
  napi_value argv[Call::kMost];
  size_t argc = Call::kMost;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok || !data ||
      napi_get_instance_data(env, &instance) != napi_ok || !instance) {
    raise(env, nullptr, Fault::kEngine, "internal: the bridge was called outside its environment");
    return nullptr;
  }
  const auto* entry = static_cast<const Entry*>(data);
  auto* bridge = static_cast<Bridge*>(instance);
  Call call{env, *bridge, entry->name, argc, {}};
  if (argc > Call::kMost) {
    raise(env, bridge, Fault::kOperator,
          std::string(entry->name) + ": got " + std::to_string(argc) + " arguments, wanted at most " +
              std::to_string(Call::kMost));
    return nullptr;
  }
  std::copy(argv, argv + argc, call.argv);
  try {
    napi_value result = entry->body(call);
    if (!listener.heard.empty()) passWarningsOn(env, *bridge);
    return result;
  } catch (const Pending&) {
  } catch (const Refusal& refusal) {
    raise(env, bridge, refusal.fault, prefix(call) + refusal.what());
  } catch (const c10::Error& error) {
    raise(env, bridge, Fault::kOperator, prefix(call) + firstLine(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    raise(env, bridge, Fault::kOperator, prefix(call) + "out of memory");
  } catch (const std::exception& error) {
    raise(env, bridge, Fault::kOperator, prefix(call) + firstLine(error.what()));
  } catch (...) {
    raise(env, bridge, Fault::kOperator, prefix(call) + "failed without saying why");
  }
  return nullptr;
}

}  // namespace odis
