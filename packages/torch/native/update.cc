// In-place updates of weights on the CPU, each in one pass over memory.
//
//   odis::adamw_(parameters, gradients, means, squares, lr, beta1, beta2, epsilon, decay, updates)
//   odis::ema_update_(slow, fast, momentum)
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

}  // namespace

TORCH_LIBRARY_FRAGMENT(odis, library) {
  library.def(
      "adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] means, Tensor(c!)[] squares, "
      "float lr, float beta1, float beta2, float epsilon, float decay, int updates) -> ()");
  library.def("ema_update_(Tensor(a!)[] slow, Tensor[] fast, float momentum) -> ()");
}
TORCH_LIBRARY_IMPL(odis, CPU, library) {
  library.impl("adamw_", adamw);
  library.impl("ema_update_", emaUpdate);
}
