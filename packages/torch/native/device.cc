// Everything that is asked of a device by its name. Only names of NVIDIA's are special; queues,
// events and statistics go through the interfaces that LibTorch has for every device, so that no
// header of CUDA is needed.
#include "bridge.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/api/include/torch/cuda.h>

#if __has_include(<c10/core/CachingDeviceAllocator.h>)
#include <c10/core/CachingDeviceAllocator.h>
#endif

#include <dlfcn.h>

namespace odis {

namespace {

/// Why there is no such device; nothing where there is one.
std::string problemOf(const std::string& name) {
  if (name == "cpu") return "";
  const bool cuda = name.rfind("cuda", 0) == 0 && (name.size() == 4 || name[4] == ':');
  const std::string digits = cuda && name.size() > 5 ? name.substr(5) : "";
  if (!cuda || (name.size() > 4 && (digits.empty() || digits.size() > 3 ||
                                    digits.find_first_not_of("0123456789") != std::string::npos))) {
    return "got device " + quoted(name) +
           ", wanted \"cpu\", \"cuda\" (the first NVIDIA GPU) or \"cuda:<number>\"";
  }
  const std::string missing = "device \"" + name + "\" is not available: ";
#ifndef ODIS_CUDA
  return missing + "this LibTorch " TORCH_VERSION " was built without CUDA; use \"cpu\", or set "
                   "LIBTORCH to one built with CUDA";
#endif
  const size_t count = torch::cuda::device_count();
  if (count == 0)
    return missing + "this LibTorch sees no NVIDIA GPU (does nvidia-smi?); use \"cpu\"";
  if (!digits.empty() && std::stoul(digits) >= count) {
    return missing + "there " + (count == 1 ? "is 1 GPU" : "are " + std::to_string(count) + " GPUs") +
           ", the last is \"cuda:" + std::to_string(count - 1) + "\"";
  }
  return "";
}

napi_value deviceProblem(Call& call) {
  return call.give(problemOf(call.text(0, "device")));
}

/// Returns when the device has done all that it was given.
napi_value synchronize(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
  return call.nothing();
}

napi_value object(Call& call) {
  napi_value made;
  check(call.env, napi_create_object(call.env, &made));
  return made;
}

void set(Call& call, napi_value object, const char* name, napi_value value) {
  check(call.env, napi_set_named_property(call.env, object, name, value));
}

/// A function of NVIDIA's driver, whose interface is plain C and stays as it is.
template <class... Arguments>
bool driver(const char* name, Arguments... arguments) {
  static void* const library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  void* found = library ? dlsym(library, name) : nullptr;
  return found && reinterpret_cast<int (*)(Arguments...)>(found)(arguments...) == 0;
}

/// `deviceInfo("cuda:0")`: {name, bytes, capability}; nothing for the CPU.
napi_value deviceInfo(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
  if (!device.is_cuda()) return call.give(at::Tensor());
  constexpr int kMajor = 75, kMinor = 76;  // of the compute capability
  int number = 0, major = 0, minor = 0;
  size_t bytes = 0;
  char name[256] = "";
  const bool known = driver("cuInit", 0u) && driver("cuDeviceGet", &number, int{device.index()}) &&
                     driver("cuDeviceGetName", &name[0], int{sizeof name}, number) &&
                     driver("cuDeviceTotalMem_v2", &bytes, number) &&
                     driver("cuDeviceGetAttribute", &major, kMajor, number) &&
                     driver("cuDeviceGetAttribute", &minor, kMinor, number);
  if (!known) throw Refusal(Fault::kEngine, "NVIDIA's driver does not describe " + device.str());
  napi_value info = object(call);
  set(call, info, "name", call.give(std::string(name)));
  set(call, info, "bytes", call.give(static_cast<double>(bytes)));
  set(call, info, "capability", call.give(std::to_string(major) + "." + std::to_string(minor)));
  return info;
}

#if ODIS_TORCH_AT_LEAST(2, 9)
c10::DeviceAllocator* allocatorOf(const at::Device& device) {
  return device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type());
}
#endif

/// `deviceMemory(device)`: {allocated, peak, reserved} in bytes; nothing where nobody counts.
napi_value deviceMemory(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
#if ODIS_TORCH_AT_LEAST(2, 9)
  if (auto* allocator = allocatorOf(device)) {
    napi_value memory = object(call);
    const bool begun = allocator->initialized();
    const auto stats = begun ? allocator->getDeviceStats(device.index())
                             : c10::CachingDeviceAllocator::DeviceStats();
    const auto bytes = [&](int64_t value) { return call.give(static_cast<double>(value)); };
    set(call, memory, "allocated", bytes(stats.allocated_bytes[0].current));
    set(call, memory, "peak", bytes(stats.allocated_bytes[0].peak));
    set(call, memory, "reserved", bytes(stats.reserved_bytes[0].current));
    return memory;
  }
#endif
  return call.give(at::Tensor());
}

napi_value resetPeakMemory(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
#if ODIS_TORCH_AT_LEAST(2, 9)
  auto* allocator = allocatorOf(device);
  if (allocator && allocator->initialized()) allocator->resetPeakStats(device.index());
#endif
  return call.nothing();
}

/// `releaseMemory(device)`: what the allocator holds for tensors to come goes back to the device.
napi_value releaseMemory(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
#if ODIS_TORCH_AT_LEAST(2, 9)
  auto* allocator = allocatorOf(device);
  if (allocator && allocator->initialized()) allocator->emptyCache();
#endif
  return call.nothing();
}

// ---- queues ----

c10::Stream& streamAt(Call& call, size_t index) {
  auto& streams = call.bridge.streams;
  return streams[call.integer(index, "stream", 0, static_cast<int64_t>(streams.size()) - 1)];
}

/// `newStream(device)`: a number for one of the device's queues beside that which operators use.
napi_value newStream(Call& call) {
  const at::Device device = deviceFrom(call.text(0, "device"));
  const c10::impl::VirtualGuardImpl guard(device.type());
  auto& streams = call.bridge.streams;
  streams.push_back(device.is_cpu() ? guard.getStream(device) : guard.getStreamFromGlobalPool(device));
  return call.give(static_cast<double>(streams.size() - 1));
}

/// `useStream(stream)`: operators of this thread go there; a number for the queue before.
napi_value useStream(Call& call) {
  const c10::Stream stream = streamAt(call, 0);
  const c10::impl::VirtualGuardImpl guard(stream.device_type());
  const c10::Stream before = guard.exchangeStream(stream);
  auto& streams = call.bridge.streams;
  for (size_t index = 0; index < streams.size(); ++index)
    if (streams[index] == before) return call.give(static_cast<double>(index));
  streams.push_back(before);
  return call.give(static_cast<double>(streams.size() - 1));
}

/// `followStream(stream, tensors)`: work of the current queue waits for what `stream` was given so
/// far, and memory of the tensors made there is not given away before the current queue is done.
napi_value followStream(Call& call) {
  const c10::Stream stream = streamAt(call, 0);
  const auto tensors = call.tensors(1, "tensors");
  if (stream.device().is_cpu()) return call.nothing();
  const c10::impl::VirtualGuardImpl guard(stream.device_type());
  const c10::Stream current = guard.getStream(stream.device());
  c10::Event event(stream.device_type());
  event.record(stream);
  event.block(current);
  for (const at::Tensor& tensor : tensors)
    if (tensor.device() == stream.device()) guard.recordDataPtrOnStream(tensor.storage().data_ptr(), current);
  return call.nothing();
}

}  // namespace

at::Device deviceFrom(const std::string& name) {
  const std::string problem = problemOf(name);
  if (!problem.empty()) refuse(problem);
  if (name == "cpu") return at::Device(at::kCPU);
  const size_t index = name.size() > 5 ? std::stoul(name.substr(5)) : 0;
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

std::vector<Entry> deviceEntries() {
  return {{"deviceProblem", deviceProblem}, {"synchronize", synchronize},
          {"deviceInfo", deviceInfo},       {"deviceMemory", deviceMemory},
          {"resetPeakMemory", resetPeakMemory}, {"releaseMemory", releaseMemory},
          {"newStream", newStream},         {"useStream", useStream},
          {"followStream", followStream}};
}

}  // namespace odis
