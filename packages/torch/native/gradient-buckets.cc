#include "gradient-buckets.h"

#include "bridge.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

namespace odis {

using torch::autograd::variable_list;

/// What autograd calls, on its own thread, when it has added a gradient to a weight.
struct GradientBuckets::Hook : torch::autograd::FunctionPostHook {
  Hook(GradientBuckets* buckets, size_t weight) : buckets_(buckets), weight_(weight) {}

  variable_list operator()(const variable_list& outputs, const variable_list&) override {
    if (buckets_->listening_) buckets_->ready(weight_);
    return outputs;
  }

 private:
  GradientBuckets* buckets_;
  size_t weight_;
};

GradientBuckets::GradientBuckets(std::shared_ptr<Collectives> group, std::vector<at::Tensor> weights,
                                 int64_t bytes, bool mean)
    : group_(std::move(group)), mean_(mean) {
  for (at::Tensor& tensor : weights) weights_.push_back({std::move(tensor)});
  int64_t filled = 0;
  for (size_t index = weights_.size(); index-- > 0;) {
    const at::Tensor& tensor = weights_[index].tensor;
    if (!tensor.is_leaf() || !tensor.requires_grad() || !at::isFloatingType(tensor.scalar_type())) {
      throw Refusal(Fault::kOperator, "weight " + std::to_string(index) + ", " + describe(tensor) +
                                          ", has no gradient of its own");
    }
    const at::Tensor* last = buckets_.empty() ? nullptr : &weights_[buckets_.back().weights[0]].tensor;
    const bool alike = last && last->scalar_type() == tensor.scalar_type() && last->device() == tensor.device();
    const int64_t size = tensor.numel() * static_cast<int64_t>(tensor.element_size());
    if (!alike || filled + size > bytes) {
      buckets_.emplace_back();
      filled = 0;
    }
    filled += size;
    weights_[index].bucket = buckets_.size() - 1;
    buckets_.back().weights.push_back(index);
    buckets_.back().elements += tensor.numel();
  }
  for (size_t index = 0; index < weights_.size(); ++index) {
    auto node = torch::autograd::impl::grad_accumulator(weights_[index].tensor);
    const uintptr_t key = node->add_post_hook(std::make_unique<Hook>(this, index));
    // Holds the node, which autograd itself would forget between two steps.
    hooks_.emplace_back(nullptr, [node, key](void*) { node->del_post_hook(key); });
  }
}

GradientBuckets::~GradientBuckets() = default;

void GradientBuckets::begin(bool listen) {
  if (active_) throw Refusal(Fault::kOperator, "the buckets are in use; end the step before");
  for (Weight& weight : weights_) weight.ready = weight.present = false;
  for (Bucket& bucket : buckets_) bucket.waiting = bucket.weights.size();
  next_ = 0;
  active_ = true;
  listening_ = listen;
}

size_t GradientBuckets::indexOf(const at::Tensor& tensor) const {
  for (size_t index = 0; index < weights_.size(); ++index)
    if (weights_[index].tensor.is_same(tensor)) return index;
  throw Refusal(Fault::kOperator, "got " + describe(tensor) + ", wanted a weight of these buckets");
}

void GradientBuckets::ready(size_t index) {
  const std::lock_guard<std::mutex> guard(lock_);
  if (!active_) throw Refusal(Fault::kOperator, "the buckets are not in use");
  Weight& weight = weights_[index];
  if (weight.ready) {
    throw Refusal(Fault::kOperator, "the gradient of weight " + std::to_string(index) + ", " +
                                        describe(weight.tensor) + ", is complete already; send gradients with " +
                                        "the last backward pass of a step only, or say yourself when they are");
  }
  mark(index);
  sendComplete(false);
}

void GradientBuckets::mark(size_t index) {
  Weight& weight = weights_[index];
  weight.ready = true;
  weight.present = weight.tensor.grad().defined();
  --buckets_[weight.bucket].waiting;
}

void GradientBuckets::sendComplete(bool all) {
  while (next_ < buckets_.size() && (all || buckets_[next_].waiting == 0)) send(buckets_[next_++]);
}

void GradientBuckets::send(Bucket& bucket) {
  const c10::NoGradGuard noGrad;
  const auto options = weights_[bucket.weights[0]].tensor.options().requires_grad(false);
  std::vector<at::Tensor> pieces;
  at::Tensor present = at::ones({static_cast<int64_t>(bucket.weights.size())}, options);
  for (const size_t index : bucket.weights) {
    const Weight& weight = weights_[index];
    const at::Tensor& tensor = weight.tensor;
    if (weight.present) {
      pieces.push_back(tensor.grad().to(tensor.scalar_type()).reshape(-1));
    } else {
      present[static_cast<int64_t>(pieces.size())].zero_();
      pieces.push_back(at::zeros({tensor.numel()}, options));
    }
  }
  pieces.push_back(present);
  bucket.memory = at::cat(pieces);
  if (mean_) bucket.memory.div_(group_->size);
  int64_t offset = 0;
  for (const size_t index : bucket.weights) {
    Weight& weight = weights_[index];
    const int64_t size = weight.tensor.numel();
    weight.tensor.mutable_grad() = bucket.memory.narrow(0, offset, size).view(weight.tensor.sizes());
    offset += size;
  }
  bucket.transfer = group_->sum(bucket.memory);
}

void GradientBuckets::end() {
  const std::lock_guard<std::mutex> guard(lock_);
  if (!active_) throw Refusal(Fault::kOperator, "the buckets are not in use");
  for (size_t index = 0; index < weights_.size(); ++index)
    if (!weights_[index].ready) mark(index);
  sendComplete(true);
  for (Bucket& bucket : buckets_) {
    bucket.transfer->wait();
    at::Tensor anywhere;  // fetched only if this process cannot know
    for (size_t place = 0; place < bucket.weights.size(); ++place) {
      Weight& weight = weights_[bucket.weights[place]];
      if (weight.present) continue;
      if (!anywhere.defined())
        anywhere = bucket.memory.narrow(0, bucket.elements, bucket.weights.size()).to(at::kCPU).to(at::kFloat);
      if (anywhere.data_ptr<float>()[place] == 0) weight.tensor.mutable_grad() = at::Tensor();
    }
    bucket.transfer.reset();
    bucket.memory = at::Tensor();
  }
  active_ = listening_ = false;
}

void GradientBuckets::drop() {
  const std::lock_guard<std::mutex> guard(lock_);
  for (Bucket& bucket : buckets_) {
    bucket.transfer.reset();
    bucket.memory = at::Tensor();
  }
  active_ = listening_ = false;
}

}  // namespace odis
