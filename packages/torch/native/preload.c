#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>
#include <pthread.h>
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

static pthread_mutex_t spin_lock = PTHREAD_MUTEX_INITIALIZER;
static int spin_holders = 0;  // threads of this process that load the engine just now
static int spin_is_ours = 0;

/// `spin(turns)`: how often a thread of OpenMP looks for work before it goes to sleep. The library reads it
/// once, when it is loaded; `spin()` takes it back, so that child processes do not inherit it. Threads that
/// load the engine at the same time hold it together: every `spin(turns)` wants its `spin()`. What the user
/// chose stays.
static napi_value spin(napi_env env, napi_callback_info info) {
  static const char* const name = "GOMP_SPINCOUNT";
  size_t argc = 1, length = 0;
  napi_value argument;
  char turns[32];
  if (napi_get_cb_info(env, info, &argc, &argument, NULL, NULL) != napi_ok) return NULL;
  const int holds =
      argc == 1 && napi_get_value_string_utf8(env, argument, turns, sizeof turns, &length) == napi_ok;
  pthread_mutex_lock(&spin_lock);
  if (holds) {
    if (spin_holders++ == 0)
      spin_is_ours = !getenv("OMP_WAIT_POLICY") && !getenv(name) && setenv(name, turns, 0) == 0;
  } else if (spin_holders > 0 && --spin_holders == 0 && spin_is_ours) {
    unsetenv(name);
    spin_is_ours = 0;
  }
  pthread_mutex_unlock(&spin_lock);
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  if (napi_create_function(env, "spin", NAPI_AUTO_LENGTH, spin, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "spin", function);
  return exports;
}
