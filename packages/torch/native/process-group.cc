#include "process-group.h"

#include "bridge.h"

#if __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define ODIS_GLOO 1
#define USE_C10D_GLOO
#endif
#if defined(ODIS_NCCL_HEADERS) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>)
#define ODIS_NCCL 1
#define USE_C10D_NCCL
#endif

#if defined(ODIS_GLOO) || defined(ODIS_NCCL)
#define USE_DISTRIBUTED
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif
#ifdef ODIS_GLOO
#include "gloo/declarations.h"
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef ODIS_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <ATen/ops/empty_like.h>

#include <cstdlib>

namespace odis {

std::vector<std::string> collectiveBackends() {
  return {
#ifdef ODIS_GLOO
      "gloo",
#endif
#ifdef ODIS_NCCL
      "nccl",
#endif
  };
}

#if defined(ODIS_GLOO) || defined(ODIS_NCCL)
namespace {

template <class Group>
class Joined : public Collectives {
 public:
  Joined(c10::intrusive_ptr<c10d::Store> store, c10::intrusive_ptr<Group> group)
      : store_(std::move(store)), group_(std::move(group)) {}

  void sum(std::vector<at::Tensor>& tensors) override {
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    all(tensors, [&](std::vector<at::Tensor>& one) { return group_->allreduce(one, options); });
  }

  void broadcast(std::vector<at::Tensor>& tensors, int source) override {
    c10d::BroadcastOptions options;
    options.rootRank = source;
    all(tensors, [&](std::vector<at::Tensor>& one) { return group_->broadcast(one, options); });
  }

  std::vector<at::Tensor> gather(const at::Tensor& tensor) override {
    std::vector<at::Tensor> inputs{tensor};
    std::vector<std::vector<at::Tensor>> outputs(1);
    for (int rank = 0; rank < size(); ++rank) outputs[0].push_back(at::empty_like(tensor));
    group_->allgather(outputs, inputs)->wait();
    return outputs[0];
  }

  void barrier() override { group_->barrier()->wait(); }
  int size() const override { return group_->getSize(); }

 private:
  /// Starts every transfer before it waits for the first.
  template <class Start>
  void all(std::vector<at::Tensor>& tensors, Start start) {
    std::vector<std::vector<at::Tensor>> single;
    single.reserve(tensors.size());
    std::vector<decltype(start(single.front()))> works;
    for (const at::Tensor& tensor : tensors) works.push_back(start(single.emplace_back(1, tensor)));
    for (const auto& work : works) work->wait();
  }

  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<Group> group_;
};

}  // namespace

std::unique_ptr<Collectives> join(const Membership& membership) {
  c10d::TCPStoreOptions meeting;
  meeting.port = static_cast<std::uint16_t>(membership.port);
  meeting.isServer = membership.rank == 0;
  meeting.numWorkers = membership.size;
  meeting.timeout = membership.patience;
  auto store = c10::make_intrusive<c10d::TCPStore>(membership.address, meeting);
#ifdef ODIS_GLOO
  if (membership.backend == "gloo") {
    using Gloo = c10d::ProcessGroupGloo;
    auto options = Gloo::Options::create();
    options->timeout = membership.patience;
    // torchrun users name the network interface by this variable.
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(interface && *interface ? Gloo::createDeviceForInterface(interface)
                                                       : Gloo::createDefaultDevice());
    auto group = c10::make_intrusive<Gloo>(store, membership.rank, membership.size, options);
    return std::make_unique<Joined<Gloo>>(store, group);
  }
#endif
#ifdef ODIS_NCCL
  if (membership.backend == "nccl") {
    int loaded = 0;
    if (ncclGetVersion(&loaded) != ncclSuccess || loaded / 100 != NCCL_VERSION_CODE / 100) {
      throw Refusal(Fault::kEngine, "the bridge was built with the headers of NCCL " +
                                        std::to_string(NCCL_VERSION_CODE) + ", but NCCL " +
                                        std::to_string(loaded) + " is loaded; build it again");
    }
    using Nccl = c10d::ProcessGroupNCCL;
    auto options = Nccl::Options::create();
    options->timeout = membership.patience;
    auto group = c10::make_intrusive<Nccl>(store, membership.rank, membership.size, options);
    return std::make_unique<Joined<Nccl>>(store, group);
  }
#endif
  throw Refusal(Fault::kEngine, "no backend \"" + membership.backend + "\" in this bridge");
}
#else
std::unique_ptr<Collectives> join(const Membership&) {
  throw Refusal(Fault::kEngine, "this LibTorch was built without collectives (c10d)");
}
#endif

namespace {

/// `joinProcesses(backend, address, port, rank, size, milliseconds)`
napi_value joinProcesses(Call& call) {
  if (call.bridge.collectives) throw Refusal(Fault::kEngine, "this thread has joined its processes already");
  Membership membership;
  membership.backend = call.text(0, "backend");
  membership.address = call.text(1, "address");
  membership.port = static_cast<int>(call.integer(2, "port", 1, 65535));
  membership.size = static_cast<int>(call.integer(4, "size", 1, 1 << 20));
  membership.rank = static_cast<int>(call.integer(3, "rank", 0, membership.size - 1));
  membership.patience = std::chrono::milliseconds(call.integer(5, "milliseconds", 1, 1LL << 40));
  call.bridge.collectives = join(membership);
  return call.nothing();
}

napi_value leaveProcesses(Call& call) {
  call.bridge.collectives.reset();
  return call.nothing();
}

Collectives& joined(Call& call) {
  if (!call.bridge.collectives) throw Refusal(Fault::kEngine, "this thread has not joined its processes");
  return *call.bridge.collectives;
}

napi_value sumAcross(Call& call) {
  auto tensors = call.tensors(0, "tensors");
  joined(call).sum(tensors);
  return call.nothing();
}

napi_value broadcast(Call& call) {
  auto tensors = call.tensors(0, "tensors");
  Collectives& group = joined(call);
  group.broadcast(tensors, static_cast<int>(call.integer(1, "source", 0, group.size() - 1)));
  return call.nothing();
}

napi_value gather(Call& call) {
  if (call.argc < 1) throw Refusal(Fault::kEngine, "wanted a tensor");
  const auto found = joined(call).gather(tensorFrom(call, call.argv[0]));
  napi_value array;
  check(call.env, napi_create_array_with_length(call.env, found.size(), &array));
  for (size_t index = 0; index < found.size(); ++index)
    check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(index), call.give(found[index])));
  return array;
}

napi_value barrier(Call& call) {
  joined(call).barrier();
  return call.nothing();
}

napi_value backends(Call& call) {
  napi_value array;
  check(call.env, napi_create_array(call.env, &array));
  uint32_t index = 0;
  for (const std::string& name : collectiveBackends())
    check(call.env, napi_set_element(call.env, array, index++, call.give(name)));
  return array;
}

}  // namespace

std::vector<Entry> collectiveEntries() {
  return {{"joinProcesses", joinProcesses}, {"leaveProcesses", leaveProcesses},
          {"sumAcross", sumAcross},         {"broadcast", broadcast},
          {"gather", gather},               {"barrier", barrier},
          {"collectiveBackends", backends}};
}

}  // namespace odis
