#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>

/// `open(path)`: makes a library's symbols win over those of libraries that are loaded later.
///
/// LibTorch asks the dynamic linker for a BLAS by its soname; whichever library of that name is in
/// the process already serves it. So a fast BLAS can be chosen without touching the system.
/// Returns undefined, or the linker's reason.
static napi_value open_library(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argument, result = NULL;
  char path[4096];
  size_t length;
  if (napi_get_cb_info(env, info, &argc, &argument, NULL, NULL) != napi_ok || argc != 1 ||
      napi_get_value_string_utf8(env, argument, path, sizeof path, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "open: wanted the path of a library");
    return NULL;
  }
  if (dlopen(path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE)) return NULL;
  const char* reason = dlerror();
  napi_create_string_utf8(env, reason ? reason : "unknown reason", NAPI_AUTO_LENGTH, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  return exports;
}
