#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace odis {

/// The processes that train together. Every call waits until its result is there.
class Collectives {
 public:
  virtual ~Collectives() = default;
  virtual void sum(std::vector<at::Tensor>& tensors) = 0;
  virtual void broadcast(std::vector<at::Tensor>& tensors, int source) = 0;
  virtual std::vector<at::Tensor> gather(const at::Tensor& tensor) = 0;
  virtual void barrier() = 0;
  virtual int size() const = 0;
};

struct Membership {
  std::string backend, address;
  int port, rank, size;
  std::chrono::milliseconds patience;
};

/// Backends this bridge was compiled with.
std::vector<std::string> collectiveBackends();

/// Meets the other processes at the address; throws when they do not come in time.
std::unique_ptr<Collectives> join(const Membership& membership);

}  // namespace odis
