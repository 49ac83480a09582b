// In-place updates of weights. On the CPU each is one pass over memory; elsewhere they are LibTorch's
// own operators over lists, which `…composed_` also gives on the CPU.
//
//   odis::adamw_(parameters, gradients, means, squares, lr, beta1, beta2, epsilon, decay, updates)
//   odis::ema_update_(slow, fast, momentum)
//   odis::adamw_composed_, odis::ema_update_composed_
//
// Weights, gradients and moments of a ViT are larger than any cache, so an update costs what its
// memory traffic costs: composed of PyTorch's own operators, AdamW moves 22 times the size of the
// weights and the moving average 5 times, here 7 and 3 times.
#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <torch/library.h>

#include <cmath>

namespace {

/// Runs `range(pointers, n)` over all elements on LibTorch's threads. Pieces that do not lie densely
/// in memory go element by element.
template <class F, size_t count, class Range>
void overElements(at::TensorIteratorBase& iterator, const Range& range) {
  iterator.for_each([&](char** data, const int64_t* strides, int64_t n) {
    F* at[count];
    bool dense = true;
    for (size_t i = 0; i < count; i++) {
      at[i] = reinterpret_cast<F*>(data[i]);
      dense = dense && strides[i] == int64_t{sizeof(F)};
    }
    if (dense) return range(at, n);
    for (int64_t element = 0; element < n; element++) {
      range(at, 1);
      for (size_t i = 0; i < count; i++)
        at[i] = reinterpret_cast<F*>(reinterpret_cast<char*>(at[i]) + strides[i]);
    }
  });
}

/// All tensors of one element-wise update. The first `written` are changed in place.
at::TensorIterator together(std::initializer_list<at::Tensor> tensors, size_t written) {
  at::TensorIteratorConfig config;
  config.set_check_mem_overlap(false).resize_outputs(false);
  size_t index = 0;
  for (const at::Tensor& tensor : tensors) {
    TORCH_CHECK(tensor.sizes() == tensors.begin()->sizes(), "tensor ", index, " of an update has shape ",
                tensor.sizes(), ", wanted ", tensors.begin()->sizes());
    if (index++ < written) {
      config.add_output(tensor);
      tensor.unsafeGetTensorImpl()->bump_version();
    } else {
      config.add_input(tensor);
    }
  }
  return config.build();
}

void sameLength(size_t got, size_t wanted, const char* name) {
  TORCH_CHECK(got == wanted, "got ", got, " ", name, ", wanted one for each of ", wanted, " weights");
}

/// Adam with decoupled decay after `updates` updates, this one included.
void adamw(at::TensorList parameters, at::TensorList gradients, at::TensorList means,
           at::TensorList squares, double lr, double beta1, double beta2, double epsilon, double decay,
           int64_t updates) {
  sameLength(gradients.size(), parameters.size(), "gradients");
  sameLength(means.size(), parameters.size(), "means");
  sameLength(squares.size(), parameters.size(), "squares");
  const double step = lr / (1 - std::pow(beta1, updates));
  const double unbiased = std::sqrt(1 - std::pow(beta2, updates));
  for (size_t i = 0; i < parameters.size(); i++) {
    auto iterator = together({parameters[i], means[i], squares[i], gradients[i]}, 3);
    AT_DISPATCH_FLOATING_TYPES(parameters[i].scalar_type(), "odis::adamw_", [&] {
      using F = scalar_t;
      const F keep = F(1 - lr * decay), by = F(step), unbias = F(1 / unbiased), floor = F(epsilon);
      const F old1 = F(beta1), new1 = F(1 - beta1), old2 = F(beta2), new2 = F(1 - beta2);
      overElements<F, 4>(iterator, [=](F* const* at, int64_t n) {
        F *__restrict p = at[0], *__restrict m = at[1], *__restrict v = at[2];
        const F* __restrict g = at[3];
        for (int64_t k = 0; k < n; k++) {
          const F mean = m[k] * old1 + g[k] * new1;
          const F square = v[k] * old2 + g[k] * g[k] * new2;
          m[k] = mean;
          v[k] = square;
          p[k] = p[k] * keep - by * mean / (std::sqrt(square) * unbias + floor);
        }
      });
    });
  }
}

/// slow = momentum * slow + (1 - momentum) * fast
void emaUpdate(at::TensorList slow, at::TensorList fast, double momentum) {
  sameLength(fast.size(), slow.size(), "fast weights");
  for (size_t i = 0; i < slow.size(); i++) {
    auto iterator = together({slow[i], fast[i]}, 1);
    AT_DISPATCH_FLOATING_TYPES(slow[i].scalar_type(), "odis::ema_update_", [&] {
      using F = scalar_t;
      const F old = F(momentum), fresh = F(1 - momentum);
      overElements<F, 2>(iterator, [=](F* const* at, int64_t n) {
        F* __restrict to = at[0];
        const F* __restrict from = at[1];
        for (int64_t k = 0; k < n; k++) to[k] = to[k] * old + from[k] * fresh;
      });
    });
  }
}

// ---- the same on any device ----

void composedAdamw(at::TensorList parameters, at::TensorList gradients, at::TensorList means,
                   at::TensorList squares, double lr, double beta1, double beta2, double epsilon,
                   double decay, int64_t updates) {
  sameLength(gradients.size(), parameters.size(), "gradients");
  sameLength(means.size(), parameters.size(), "means");
  sameLength(squares.size(), parameters.size(), "squares");
  if (parameters.empty()) return;
#if __has_include(<ATen/ops/_fused_adamw.h>)
  bool alike = parameters[0].is_cuda();
  for (size_t i = 0; alike && i < parameters.size(); i++)
    alike = gradients[i].strides() == parameters[i].strides() &&
            gradients[i].scalar_type() == parameters[i].scalar_type();
  if (alike) {  // one kernel for hundreds of weights
    const at::Tensor count = at::full({}, double(updates), parameters[0].options().dtype(at::kFloat));
    const std::vector<at::Tensor> counts(parameters.size(), count);
    return at::_fused_adamw_(parameters, gradients, means, squares, {}, counts, lr, beta1, beta2, decay,
                             epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
#endif
  if (decay > 0) at::_foreach_mul_(parameters, 1 - lr * decay);
  at::_foreach_mul_(means, beta1);
  at::_foreach_add_(means, gradients, 1 - beta1);
  at::_foreach_mul_(squares, beta2);
  at::_foreach_addcmul_(squares, gradients, gradients, 1 - beta2);
  const auto scales = at::_foreach_sqrt(squares);
  at::_foreach_div_(scales, std::sqrt(1 - std::pow(beta2, updates)));
  at::_foreach_add_(scales, epsilon);
  at::_foreach_addcdiv_(parameters, means, scales, -lr / (1 - std::pow(beta1, updates)));
}

void composedEmaUpdate(at::TensorList slow, at::TensorList fast, double momentum) {
  sameLength(fast.size(), slow.size(), "fast weights");
  if (slow.empty()) return;
  at::_foreach_mul_(slow, momentum);
  at::_foreach_add_(slow, fast, 1 - momentum);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(odis, library) {
  const std::string adamw =
      "(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] means, Tensor(c!)[] squares, "
      "float lr, float beta1, float beta2, float epsilon, float decay, int updates) -> ()";
  const std::string average = "(Tensor(a!)[] slow, Tensor[] fast, float momentum) -> ()";
  library.def(("adamw_" + adamw).c_str());
  library.def(("adamw_composed_" + adamw).c_str());
  library.def(("ema_update_" + average).c_str());
  library.def(("ema_update_composed_" + average).c_str());
}
TORCH_LIBRARY_IMPL(odis, CPU, library) {
  library.impl("adamw_", adamw);
  library.impl("ema_update_", emaUpdate);
}
TORCH_LIBRARY_IMPL(odis, CompositeExplicitAutograd, library) {
  library.impl("adamw_", composedAdamw);
  library.impl("adamw_composed_", composedAdamw);
  library.impl("ema_update_", composedEmaUpdate);
  library.impl("ema_update_composed_", composedEmaUpdate);
}
