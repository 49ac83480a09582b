#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace odis {

/// A message under way. `wait` returns when its result is there; on a GPU, when the device's queue
/// will wait for it by itself.
class Transfer {
 public:
  virtual ~Transfer() = default;
  virtual void wait() = 0;
};

/// The processes that train together. Every process must start the same transfers in the same order.
class Collectives {
 public:
  virtual ~Collectives() = default;
  /// Replaces the tensor, in place, by its sum over all processes.
  virtual std::unique_ptr<Transfer> sum(const at::Tensor& tensor) = 0;
  virtual std::unique_ptr<Transfer> broadcast(const at::Tensor& tensor, int source) = 0;
  /// Fills `whole` [size * n, ...] with every process's `part` [n, ...], in the order of ranks.
  virtual std::unique_ptr<Transfer> gather(const at::Tensor& whole, const at::Tensor& part) = 0;
  /// Fills `part` [n, ...] with this rank's share of the sum of every process's `whole` [size * n, ...].
  virtual std::unique_ptr<Transfer> scatterSum(const at::Tensor& part, const at::Tensor& whole) = 0;
  virtual void barrier() = 0;
  /// Ends this process's part and lets the others know that it says itself why.
  virtual void giveUp() = 0;
  /// Whether a transfer has failed. Then: ranks that do not answer, and those that gave up by themselves.
  virtual bool broken() const = 0;
  virtual std::vector<int> missing() const = 0;
  virtual std::vector<int> gaveUp() const = 0;

  int rank = 0, size = 1;
  /// What this process has sent so far: transfers, and bytes of their tensors.
  std::atomic<int64_t> messages{0}, bytes{0};
};

struct Membership {
  std::string backend, address;
  int port, rank, size;
  std::chrono::milliseconds patience;  // for every transfer
  std::chrono::milliseconds meeting;   // for all to come
  at::Device device;  // where this process's tensors lie
};

/// Backends this bridge was compiled with.
std::vector<std::string> collectiveBackends();

/// Meets the other processes at the address; throws when they do not come in time.
std::shared_ptr<Collectives> join(const Membership& membership);

}  // namespace odis
