#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;  // of the environment

/// `kernels(library, name)`: has BLIS, opened before, compute with its kernels of this name. It chooses once, when it
/// starts: that is now. Without effect where the user has chosen, its table has no such name, or it is another library.
/// (A build that lacks kernels of its table ends the process: pass a library that has them.)
static napi_value choose_kernels(napi_env env, napi_callback_info info) {
  static const char* const setting = "BLIS_ARCH_TYPE";
  enum { kMostKinds = 64 };
  size_t argc = 2, length;
  napi_value arguments[2];
  char path[4096], name[32], number[16];
  if (napi_get_cb_info(env, info, &argc, arguments, NULL, NULL) != napi_ok || argc != 2 ||
      napi_get_value_string_utf8(env, arguments[0], path, sizeof path, &length) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[1], name, sizeof name, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "kernels: wanted the path of a library and a name");
    return NULL;
  }
  void* const library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (!library) return NULL;
  const char* (*const name_of)(int) = (const char* (*)(int))dlsym(library, "bli_arch_string");
  void (*const start)(void) = (void (*)(void))dlsym(library, "bli_init");
  dlclose(library);
  if (!name_of || !start || getenv(setting)) return NULL;
  // Its table of names ends with the kernels that every processor can run.
  for (int kind = 0; kind < kMostKinds; ++kind) {
    const char* const found = name_of(kind);
    if (!found || strcmp(found, "generic") == 0) return NULL;
    if (strcmp(found, name) != 0) continue;
    snprintf(number, sizeof number, "%d", kind);
    pthread_mutex_lock(&settings_lock);
    setenv(setting, number, 0);
    start();
    unsetenv(setting);
    pthread_mutex_unlock(&settings_lock);
    return NULL;
  }
  return NULL;
}

/// Settings that a library reads once, from the environment, when it is loaded or first used.
static struct {
  const char* name;
  const char* other;  // the user has chosen, too, when this is set
  int ours;
} settings[] = {{"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", 0},
                {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY", 0}};
enum { kSettings = sizeof settings / sizeof *settings };

static int holders = 0;  // threads of this process that load the engine just now

/// `hold(turns, kept)`: how often a thread of OpenMP looks for work before it goes to sleep, and how many
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
  if (napi_create_function(env, "kernels", NAPI_AUTO_LENGTH, choose_kernels, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "kernels", function);
  if (napi_create_function(env, "hold", NAPI_AUTO_LENGTH, hold, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "hold", function);
  return exports;
}
