import { type Tensor, gradientsOf, tensor, tidy } from "@odis/torch";
import { expect } from "vitest";

/** Expects the elements, row-major, to be within `tolerance` of the given ones. */
export function expectValues(actual: Tensor, expected: readonly number[], tolerance = 1e-6): void {
  const got = actual.toNumbers();
  expect(got.length).toBe(expected.length);
  for (const [index, value] of got.entries()) {
    const wanted = expected[index]!;
    const equal = Object.is(value, wanted) || Math.abs(value - wanted) <= tolerance;
    if (!equal) expect(got, `element ${index}`).toEqual(expected);
  }
}

/**
 * Compares autograd with central differences in float64, for the sum of `fn`'s result weighted by
 * fixed uneven numbers (a plain sum would hide gradients that cancel, as softmax's do).
 *
 * @param inputs float64 data of each argument, with its shape
 */
export function expectGradients(
  fn: (...inputs: readonly Tensor[]) => Tensor,
  inputs: readonly { readonly data: readonly number[]; readonly shape: readonly number[] }[],
  tolerance = 1e-6,
): void {
  const make = (data: readonly number[], shape: readonly number[]): Tensor =>
    tensor(Float64Array.from(data), shape);
  const scalar = (arrays: readonly (readonly number[])[]): number =>
    tidy(() => weighted(fn(...arrays.map((data, i) => make(data, inputs[i]!.shape)))).item());
  tidy(() => {
    const leaves = inputs.map(({ data, shape }) => make(data, shape).requiresGrad_());
    const gradients = gradientsOf([weighted(fn(...leaves))], leaves);
    const step = 1e-5;
    for (const [i, { data }] of inputs.entries()) {
      const numeric = data.map((_, j) => {
        const moved = (by: number): number =>
          scalar(
            inputs.map((input, k) => (k === i ? input.data.with(j, data[j]! + by) : input.data)),
          );
        return (moved(step) - moved(-step)) / (2 * step);
      });
      expect(gradients[i], `argument ${i} has a gradient`).toBeDefined();
      expectValues(gradients[i]!, numeric, tolerance);
    }
  });
}

function weighted(result: Tensor): Tensor {
  const weights = Float64Array.from({ length: result.size }, (_, index) => Math.cos(1 + 3 * index));
  return result.mul(tensor(weights, result.shape)).sum();
}
