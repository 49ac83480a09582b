#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>
#include <stdlib.h>

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

/// `spin(turns | undefined)`: how often a thread of OpenMP looks for work before it goes to sleep. The
/// library reads it once, when it is loaded; `undefined` takes it back, so that child processes do not
/// inherit it. Returns whether it was set: what the user chose stays.
static napi_value spin(napi_env env, napi_callback_info info) {
  static const char* const name = "GOMP_SPINCOUNT";
  static int ours = 0;
  size_t argc = 1, length = 0;
  napi_value argument, result = NULL;
  char turns[32];
  if (napi_get_cb_info(env, info, &argc, &argument, NULL, NULL) != napi_ok) return NULL;
  if (argc == 1 && napi_get_value_string_utf8(env, argument, turns, sizeof turns, &length) == napi_ok) {
    ours = !getenv("OMP_WAIT_POLICY") && !getenv(name) && setenv(name, turns, 0) == 0;
  } else if (ours) {
    unsetenv(name);
    ours = 0;
  }
  napi_get_boolean(env, ours, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  if (napi_create_function(env, "spin", NAPI_AUTO_LENGTH, spin, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "spin", function);
  return exports;
}
