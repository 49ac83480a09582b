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

/// Settings that a library reads once, from the environment, when it is loaded or first used.
static struct {
  const char* name;
  const char* other;  // the user has chosen, too, when this is set
  int ours;
} settings[] = {{"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", 0},
                {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY", 0}};
enum { kSettings = sizeof settings / sizeof *settings };

static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;
static int holders = 0;  // threads of this process that load the engine just now

/// `hold(turns, kernels)`: how often a thread of OpenMP looks for work before it goes to sleep, and how many
/// compiled kernels oneDNN keeps; `hold()` takes both back, so that child processes do not inherit them.
/// Threads that load the engine at the same time hold them together: every `hold(...)` wants its `hold()`.
/// What the user chose stays.
static napi_value hold(napi_env env, napi_callback_info info) {
  size_t argc = kSettings, length;
  napi_value arguments[kSettings];
  char values[kSettings][32];
  if (napi_get_cb_info(env, info, &argc, arguments, NULL, NULL) != napi_ok) return NULL;
  const int holds = argc == kSettings;
  for (int at = 0; holds && at < kSettings; ++at)
    if (napi_get_value_string_utf8(env, arguments[at], values[at], sizeof values[at], &length) != napi_ok) {
      napi_throw_type_error(env, NULL, "hold: wanted every setting as a text");
      return NULL;
    }
  pthread_mutex_lock(&settings_lock);
  const int first = holds && holders++ == 0;
  const int last = !holds && holders > 0 && --holders == 0;
  for (int at = 0; at < kSettings; ++at) {
    const char* const name = settings[at].name;
    if (first)
      settings[at].ours = !getenv(settings[at].other) && !getenv(name) && setenv(name, values[at], 0) == 0;
    if (last && settings[at].ours) {
      unsetenv(name);
      settings[at].ours = 0;
    }
  }
  pthread_mutex_unlock(&settings_lock);
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  if (napi_create_function(env, "hold", NAPI_AUTO_LENGTH, hold, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "hold", function);
  return exports;
}
