// What JavaScript calls of process groups and gradient buckets.
#include "bridge.h"
#include "gradient-buckets.h"
#include "waiting.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace odis {

namespace {

/// `joinProcesses(backend, address, port, rank, size, milliseconds, device, millisecondsToMeet)`
napi_value joinProcesses(Call& call) {
  if (call.bridge.collectives) throw Refusal(Fault::kEngine, "this thread has joined its processes already");
  Membership membership{"", "", 0, 0, 0, {}, {}, deviceFrom(call.text(6, "device"))};
  membership.backend = call.text(0, "backend");
  membership.address = call.text(1, "address");
  membership.port = static_cast<int>(call.integer(2, "port", 1, 65535));
  membership.size = static_cast<int>(call.integer(4, "size", 1, 1 << 20));
  membership.rank = static_cast<int>(call.integer(3, "rank", 0, membership.size - 1));
  membership.patience = std::chrono::milliseconds(call.integer(5, "milliseconds", 1, 1LL << 40));
  membership.meeting = std::chrono::milliseconds(call.integer(7, "millisecondsToMeet", 1, 1LL << 40));
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

/// Several transfers as one, and what is to be done when all have arrived.
class Several : public Transfer {
 public:
  void wait() override {
    for (const auto& part : parts) part->wait();
    if (finish) std::exchange(finish, {})();
  }
  std::vector<std::unique_ptr<Transfer>> parts;
  std::function<void()> finish;
};

napi_value give(Call& call, std::unique_ptr<Transfer> transfer) {
  return call.give(call.bridge.transfers.put(std::move(transfer)));
}

/// Sends tensors in one message for each dtype and device; a tensor that is alone, as it is.
template <class Send>
std::unique_ptr<Transfer> together(const std::vector<at::Tensor>& tensors, const Send& send) {
  const c10::NoGradGuard noGrad;
  auto all = std::make_unique<Several>();
  std::vector<std::pair<at::Tensor, std::vector<at::Tensor>>> flats;
  std::vector<std::vector<at::Tensor>> groups;
  for (const at::Tensor& tensor : tensors) {
    const auto alike = [&](const std::vector<at::Tensor>& group) {
      return group[0].scalar_type() == tensor.scalar_type() && group[0].device() == tensor.device();
    };
    const auto found = std::find_if(groups.begin(), groups.end(), alike);
    if (found == groups.end()) groups.push_back({tensor});
    else found->push_back(tensor);
  }
  for (const auto& group : groups) {
    const bool alone = group.size() == 1 && group[0].is_contiguous();
    std::vector<at::Tensor> pieces;
    for (const at::Tensor& tensor : group) pieces.push_back(tensor.detach().reshape(-1));
    const at::Tensor flat = alone ? group[0].detach() : at::cat(pieces);
    all->parts.push_back(send(flat));
    if (!alone) flats.emplace_back(flat, group);
  }
  all->finish = [flats] {
    const c10::NoGradGuard noGrad;
    for (const auto& [flat, group] : flats) {
      int64_t offset = 0;
      for (const at::Tensor& tensor : group) {
        tensor.detach().copy_(flat.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
        offset += tensor.numel();
      }
    }
  };
  return all;
}

/// `startSum(tensors)`: a number for the transfer.
napi_value startSum(Call& call) {
  const auto tensors = call.tensors(0, "tensors");
  Collectives& group = joined(call);
  return give(call, together(tensors, [&](const at::Tensor& flat) { return group.sum(flat); }));
}

/// `startBroadcast(tensors, source)`
napi_value startBroadcast(Call& call) {
  const auto tensors = call.tensors(0, "tensors");
  Collectives& group = joined(call);
  const auto source = static_cast<int>(call.integer(1, "source", 0, group.size - 1));
  return give(call, together(tensors, [&](const at::Tensor& flat) { return group.broadcast(flat, source); }));
}

/// The whole and the part of a tensor that is cut into one part for each process.
std::pair<at::Tensor, at::Tensor> wholeAndPart(Call& call) {
  const auto both = call.tensors(0, "tensors");
  if (both.size() != 2) refuse("wanted the whole and this process's part");
  const at::Tensor &whole = both[0], &part = both[1];
  const int64_t size = joined(call).size;
  if (!whole.is_contiguous() || !part.is_contiguous() || whole.dim() == 0 || whole.dim() != part.dim() ||
      whole.size(0) != size * part.size(0) || whole.numel() != size * part.numel() ||
      whole.scalar_type() != part.scalar_type() || whole.device() != part.device()) {
    throw Refusal(Fault::kShape, "got " + describe(whole) + " as whole and " + describe(part) +
                                     " as part, wanted one part for each of " + std::to_string(size) +
                                     " processes along the first axis, contiguous and of one dtype");
  }
  return {whole.detach(), part.detach()};
}

/// `startGather([whole, part])`
napi_value startGather(Call& call) {
  const auto [whole, part] = wholeAndPart(call);
  return give(call, joined(call).gather(whole, part));
}

/// `startScatterSum([whole, part])`
napi_value startScatterSum(Call& call) {
  const auto [whole, part] = wholeAndPart(call);
  return give(call, joined(call).scatterSum(part, whole));
}

/// `waitTransfer(transfer)`: again is no error.
napi_value waitTransfer(Call& call) {
  std::unique_ptr<Transfer> transfer;
  int64_t reported = 0;
  if (call.bridge.transfers.take(call.number(0, "transfer"), transfer, reported)) transfer->wait();
  return call.nothing();
}

napi_value barrier(Call& call) {
  joined(call).barrier();
  return call.nothing();
}

/// `traffic()`: [messages, bytes] that this process has sent.
napi_value traffic(Call& call) {
  const Collectives& group = joined(call);
  napi_value array;
  check(call.env, napi_create_array_with_length(call.env, 2, &array));
  check(call.env, napi_set_element(call.env, array, 0, call.give(static_cast<double>(group.messages))));
  check(call.env, napi_set_element(call.env, array, 1, call.give(static_cast<double>(group.bytes))));
  return array;
}

napi_value giveUp(Call& call) {
  joined(call).giveUp();
  return call.nothing();
}

napi_value give(Call& call, const std::vector<int>& numbers) {
  napi_value array;
  check(call.env, napi_create_array(call.env, &array));
  for (size_t at = 0; at < numbers.size(); ++at)
    check(call.env, napi_set_element(call.env, array, static_cast<uint32_t>(at),
                                     call.give(static_cast<double>(numbers[at]))));
  return array;
}

/// `failedProcesses()`: those that do not answer, and those that gave up; nothing while all is well
napi_value failedProcesses(Call& call) {
  const Collectives& group = joined(call);
  if (!group.broken()) return call.nothing();
  napi_value both;
  check(call.env, napi_create_array_with_length(call.env, 2, &both));
  check(call.env, napi_set_element(call.env, both, 0, give(call, group.missing())));
  check(call.env, napi_set_element(call.env, both, 1, give(call, group.gaveUp())));
  return both;
}

/// `listenWhileWaiting(tell, listens, catchesSignals)`: `tell(signal, sentence)`, see waiting.h; the first one stays.
napi_value listenWhileWaiting(Call& call) {
  WaitListener& listener = waitListener();
  if (!listener.function) {
    check(call.env, napi_create_reference(call.env, call.argv[0], 1, &listener.function));
    listener.env = call.env;
  }
  listener.listens = call.flag(1, "listens");
  listener.catchesSignals = call.flag(2, "catchesSignals");
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

/// `makeBuckets(weights, bytes, mean)`
napi_value makeBuckets(Call& call) {
  auto weights = call.tensors(0, "weights");
  const int64_t bytes = call.integer(1, "bytes", 1, 1LL << 40);
  joined(call);
  auto made = std::make_unique<GradientBuckets>(call.bridge.collectives, std::move(weights), bytes,
                                                call.flag(2, "mean"));
  return call.give(call.bridge.buckets.put(std::move(made)));
}

GradientBuckets& bucketsAt(Call& call, size_t index) {
  auto* found = call.bridge.buckets.find(call.number(index, "buckets"));
  if (!found) throw Refusal(Fault::kFreed, "got buckets that were freed");
  return **found;
}

/// `beginBuckets(buckets, listen)`
napi_value beginBuckets(Call& call) {
  bucketsAt(call, 0).begin(call.flag(1, "listen"));
  return call.nothing();
}

/// `readyInBuckets(buckets, weights)`
napi_value readyInBuckets(Call& call) {
  GradientBuckets& buckets = bucketsAt(call, 0);
  for (const at::Tensor& weight : call.tensors(1, "weights")) buckets.ready(buckets.indexOf(weight));
  return call.nothing();
}

napi_value endBuckets(Call& call) {
  bucketsAt(call, 0).end();
  return call.nothing();
}

napi_value dropBuckets(Call& call) {
  bucketsAt(call, 0).drop();
  return call.nothing();
}

napi_value countBuckets(Call& call) {
  return call.give(static_cast<double>(bucketsAt(call, 0).count()));
}

napi_value freeBuckets(Call& call) {
  std::unique_ptr<GradientBuckets> gone;
  int64_t reported = 0;
  call.bridge.buckets.take(call.number(0, "buckets"), gone, reported);
  return call.nothing();
}

}  // namespace

std::vector<Entry> collectiveEntries() {
  return {{"joinProcesses", joinProcesses}, {"leaveProcesses", leaveProcesses},
          {"startSum", startSum},           {"startBroadcast", startBroadcast},
          {"startGather", startGather},     {"startScatterSum", startScatterSum},
          {"waitTransfer", waitTransfer},   {"barrier", barrier},
          {"listenWhileWaiting", listenWhileWaiting},
          {"giveUp", giveUp},               {"failedProcesses", failedProcesses},
          {"traffic", traffic},             {"collectiveBackends", backends},
          {"makeBuckets", makeBuckets},     {"beginBuckets", beginBuckets},
          {"readyInBuckets", readyInBuckets}, {"endBuckets", endBuckets},
          {"dropBuckets", dropBuckets},     {"countBuckets", countBuckets},
          {"freeBuckets", freeBuckets}};
}

}  // namespace odis
