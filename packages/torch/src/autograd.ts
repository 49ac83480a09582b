import { native } from "./native.js";
import { refusePromise } from "./scope.js";
import { type BackwardOptions, fromHandle, type Tensor } from "./tensor.js";

/** Whether operators are being recorded for backward in this thread. */
export function gradEnabled(): boolean {
  return native().gradEnabled();
}

/**
 * Runs `fn` without recording for backward; the mode before is restored also when it throws.
 *
 * @throws ScopeError when `fn` is asynchronous
 */
export function noGrad<T>(fn: () => T): T {
  const before = native().gradEnabled();
  native().setGradEnabled(false);
  try {
    const result = fn();
    refusePromise(result, "noGrad");
    return result;
  } finally {
    native().setGradEnabled(before);
  }
}

/**
 * Gradients of outputs with respect to inputs, leaving `grad` alone; undefined where an output does
 * not depend on an input.
 *
 * @param gradients with respect to the outputs; may be left out for outputs of one element
 */
export function gradientsOf(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradients?: readonly Tensor[],
  { retainGraph, createGraph }: BackwardOptions = {},
): (Tensor | undefined)[] {
  const keep = retainGraph ?? createGraph ?? false;
  return native()
    .gradients(outputs, inputs, gradients, keep, createGraph ?? false)
    .map((handle) => (handle === null ? undefined : fromHandle(handle)));
}

/**
 * Runs `fn` with mixed precision: matrix products and convolutions in `dtype`, sensitive operators
 * in float32.
 *
 * @param device "cpu" (bfloat16) or "cuda" (bfloat16 or float16)
 */
export function autocast<T>(device: string, dtype: "bfloat16" | "float16", fn: () => T): T {
  const before = native().setAutocast(device, dtype);
  try {
    const result = fn();
    refusePromise(result, "autocast");
    return result;
  } finally {
    native().setAutocast(device, before);
  }
}
