import { call } from "../dispatch.js";
import type { Tensor } from "../tensor.js";

/** Weights of one AdamW update with what belongs to them, all in the same order. */
export interface AdamWLists {
  readonly parameters: readonly Tensor[];
  readonly gradients: readonly Tensor[];
  readonly means: readonly Tensor[];
  readonly squares: readonly Tensor[];
}

export interface AdamWNumbers {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** weight decay, 0 for none */
  readonly decay: number;
  /** updates so far, this one included */
  readonly updates: number;
}

const allOnCpu = (tensors: readonly Tensor[]): boolean =>
  tensors.every(({ device }) => device === "cpu");

/** One AdamW update in place; call without gradient. */
export function adamW_(lists: AdamWLists, numbers: AdamWNumbers): void {
  // The fused operator moves a third of the memory, but exists for the CPU only.
  if (!allOnCpu(lists.parameters)) return composedAdamW_(lists, numbers);
  const { parameters, gradients, means, squares } = lists;
  const { lr, beta1, beta2, epsilon, decay, updates } = numbers;
  call(
    "odis::adamw_",
    parameters,
    gradients,
    means,
    squares,
    lr,
    beta1,
    beta2,
    epsilon,
    decay,
    updates,
  );
}

/** The same update from the engine's own operators: any device. */
export function composedAdamW_(lists: AdamWLists, numbers: AdamWNumbers): void {
  const { parameters, gradients, means, squares } = lists;
  const { lr, beta1, beta2, epsilon, decay, updates } = numbers;
  if (decay > 0) call("aten::_foreach_mul_.Scalar", parameters, 1 - lr * decay);
  call("aten::_foreach_mul_.Scalar", means, beta1);
  call("aten::_foreach_add_.List", means, gradients, 1 - beta1);
  call("aten::_foreach_mul_.Scalar", squares, beta2);
  call("aten::_foreach_addcmul_.Scalar", squares, gradients, gradients, 1 - beta2);

  const scale = call("aten::_foreach_sqrt", squares) as Tensor[];
  call("aten::_foreach_div_.Scalar", scale, Math.sqrt(1 - beta2 ** updates));
  call("aten::_foreach_add_.Scalar", scale, epsilon);
  call("aten::_foreach_addcdiv_.Scalar", parameters, means, scale, -lr / (1 - beta1 ** updates));
}

/** slow = momentum * slow + (1 - momentum) * fast, in place; call without gradient. */
export function emaUpdateLists_(
  slow: readonly Tensor[],
  fast: readonly Tensor[],
  momentum: number,
): void {
  if (!allOnCpu(slow)) return composedEmaUpdate_(slow, fast, momentum);
  call("odis::ema_update_", slow, fast, momentum);
}

/** The same from the engine's own operators: any device. */
export function composedEmaUpdate_(
  slow: readonly Tensor[],
  fast: readonly Tensor[],
  momentum: number,
): void {
  call("aten::_foreach_mul_.Scalar", slow, momentum);
  call("aten::_foreach_add_.List", slow, fast, 1 - momentum);
}
