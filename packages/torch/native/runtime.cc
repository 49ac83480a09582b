#include "bridge.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/api/include/torch/cuda.h>

#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace odis {

namespace {

/// The symbol in the library that holds `place`, or in one that this library needs.
void* symbolNear(const void* place, const char* name) {
  Dl_info info;
  if (!dladdr(place, &info)) return nullptr;
  void* library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return nullptr;
  void* found = dlsym(library, name);
  dlclose(library);
  return found;
}

/// The symbol as LibTorch's own calls resolve it: first in the global scope, then in its libraries.
void* symbol(const char* name) {
  void* found = dlsym(RTLD_DEFAULT, name);
  return found ? found : symbolNear(reinterpret_cast<void*>(&at::get_num_threads), name);
}

std::string placeOf(const void* address) {
  Dl_info info;
  return address && dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

/// BLAS libraries keep a thread count of their own, which LibTorch does not know of.
void setBlasThreads(int threads) {
  using Setter = void (*)(long);
  for (const char* name : {"bli_thread_set_num_threads", "openblas_set_num_threads"})
    if (auto set = reinterpret_cast<Setter>(symbol(name))) set(threads);
}

napi_value setThreads(Call& call) {
  const auto threads = static_cast<int>(call.integer(0, "threads", 1, 1024));
  at::set_num_threads(threads);
  setBlasThreads(threads);
  return call.nothing();
}

napi_value threads(Call& call) {
  return call.give(static_cast<double>(at::get_num_threads()));
}

uint64_t seedFrom(Call& call, size_t index) {
  return static_cast<uint64_t>(call.integer(index, "seed", 0, 9007199254740991));
}

napi_value manualSeed(Call& call) {
  at::manual_seed(seedFrom(call, 0));
  return call.nothing();
}

/// `newGenerator(seed, device)`: a negative handle, so that it is never taken for a tensor's.
napi_value newGenerator(Call& call) {
  const uint64_t seed = seedFrom(call, 0);
  const at::Device device = deviceFrom(call.text(1, "device"));
  at::Generator made;
  if (device.is_cpu()) {
    made = at::detail::createCPUGenerator(seed);
  } else {
    made = at::globalContext().defaultGenerator(device).clone();
    made.set_current_seed(seed);
  }
  return call.give(-call.bridge.generators.put(std::move(made)));
}

napi_value freeGenerator(Call& call) {
  at::Generator gone;
  int64_t reported = 0;
  call.bridge.generators.take(-call.number(0, "handle"), gone, reported);
  return call.nothing();
}

napi_value generatorState(Call& call) {
  at::Generator generator = call.generator(0);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return call.give(generator.get_state());
}

napi_value setGeneratorState(Call& call) {
  at::Generator generator = call.generator(0);
  if (call.argc < 2) throw Refusal(Fault::kOperator, "got no state");
  const at::Tensor state = tensorFrom(call, call.argv[1]);
  std::lock_guard<std::mutex> lock(generator.mutex());
  const int64_t wanted = generator.get_state().numel();
  if (state.numel() != wanted || state.scalar_type() != at::kByte)
    throw Refusal(Fault::kOperator, "got " + describe(state) + " as state, wanted uint8[" +
                                        std::to_string(wanted) + "] from getState()");
  generator.set_state(state);
  return call.nothing();
}

/// `runtime()`: what is linked and loaded; TypeScript gives the BLAS its name.
napi_value runtime(Call& call) {
  napi_value object;
  check(call.env, napi_create_object(call.env, &object));
  const auto set = [&](const char* name, napi_value value) {
    check(call.env, napi_set_named_property(call.env, object, name, value));
  };
  set("version", call.give(std::string(TORCH_VERSION)));
  set("place", call.give(placeOf(reinterpret_cast<void*>(&at::get_num_threads))));
  set("blas", call.give(placeOf(symbol("sgemm_"))));
  const auto version = reinterpret_cast<const char* (*)()>(symbol("bli_info_get_version_str"));
  const char* text = version ? version() : nullptr;
  set("blisVersion", call.give(std::string(text ? text : "")));
  const auto kind = reinterpret_cast<int (*)()>(symbol("bli_arch_query_id"));
  const auto nameOf = reinterpret_cast<const char* (*)(int)>(symbol("bli_arch_string"));
  set("blisKernels", call.give(std::string(kind && nameOf ? nameOf(kind()) : "")));
  set("mkl", call.give(at::hasMKL()));
  // The type of NCCL's process group, whether or not this bridge was compiled with it.
  const void* bridge = reinterpret_cast<void*>(&prepareProcess);
  set("ncclInLibrary", call.give(symbolNear(bridge, "_ZTIN4c10d16ProcessGroupNCCLE") != nullptr));
  set("cudaDevices", call.give(static_cast<double>(torch::cuda::device_count())));
  return object;
}

/// oneDNN asks the environment at its first kernel how many it may keep: now, while `preload` holds the setting.
void meetOneDnn() {
  if (!at::globalContext().hasMKLDNN()) return;
  const at::NoGradGuard plain;
  const at::Tensor one = at::zeros({1, 1, 1, 1});
  try {
    at::mkldnn_convolution(one, one, {}, {0, 0}, {1, 1}, {1, 1}, 1);
  } catch (const std::exception&) {
    // A processor that oneDNN has no kernel for: nothing is kept there.
  }
}

}  // namespace

/// Once per process, before the first tensor.
void prepareProcess() {
  static std::once_flag once;
  std::call_once(once, [] {
    // glibc gives every large buffer back to the kernel when it is freed, and the next operator
    // pays for fresh pages one fault at a time. Keeping them spares a small network's step 30 of 31
    // page faults, 4 % of its time.
    const char* choice = std::getenv("ODIS_ALLOCATOR");
    if (!choice || std::strcmp(choice, "system") != 0) {
      mallopt(M_MMAP_THRESHOLD, 1 << 30);
      mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
      mallopt(M_TOP_PAD, 64 << 20);
    }
    setBlasThreads(at::get_num_threads());
    meetOneDnn();
  });
}

std::vector<Entry> runtimeEntries() {
  return {{"setThreads", setThreads},       {"threads", threads},
          {"manualSeed", manualSeed},       {"newGenerator", newGenerator},
          {"freeGenerator", freeGenerator}, {"generatorState", generatorState},
          {"setGeneratorState", setGeneratorState}, {"runtime", runtime}};
}

}  // namespace odis
