#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "process-group.h"

namespace odis {

/// Sums the gradients of weights over all processes, or averages them, while backward still goes on.
///
/// Weights are put into buckets from last to first, about the order in which their gradients come.
/// As soon as a bucket is complete, its gradients move into one stretch of memory, of which they are
/// views from then on, and the sum of that stretch over all processes begins. A bucket never begins
/// before the one before it, so that all processes send the same messages in the same order,
/// whichever gradients come first, or never, on each.
///
/// Behind the gradients of a bucket lies one number per weight: how many processes had a gradient of
/// it. A weight that had one nowhere keeps none, so that optimisers leave it alone.
class GradientBuckets {
 public:
  GradientBuckets(std::shared_ptr<Collectives> group, std::vector<at::Tensor> weights, int64_t bytes,
                  bool mean);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;

  /// From now on gradients are sent; `listen` to autograd, or only to `ready`.
  void begin(bool listen);
  /// The gradient of this weight is complete.
  void ready(size_t weight);
  size_t indexOf(const at::Tensor& weight) const;
  /// Sends what is left, waits for all, and leaves the results as the weights' gradients.
  void end();
  /// After an error: forgets what is under way.
  void drop();
  size_t count() const { return buckets_.size(); }

 private:
  struct Weight {
    at::Tensor tensor;
    size_t bucket = 0;
    bool ready = false, present = false;
  };
  struct Bucket {
    std::vector<size_t> weights;
    int64_t elements = 0;
    size_t waiting = 0;
    at::Tensor memory;
    std::unique_ptr<Transfer> transfer;
  };
  struct Hook;

  void mark(size_t weight);
  void sendComplete(bool all);
  void send(Bucket& bucket);

  std::shared_ptr<Collectives> group_;
  bool mean_;
  std::vector<Weight> weights_;
  std::vector<Bucket> buckets_;
  std::vector<std::shared_ptr<void>> hooks_;
  std::mutex lock_;
  size_t next_ = 0;
  bool active_ = false, listening_ = false;
};

}  // namespace odis
