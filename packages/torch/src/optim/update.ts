import { noGrad } from "../autograd.js";
import { tidy } from "../scope.js";
import { call } from "../dispatch.js";
import { stack } from "../ops.js";
import type { Tensor } from "../tensor.js";

/**
 * Scales gradients in place and returns their norms before that, in the order of `parameters`
 * (undefined for a weight without a gradient). If any of them is not finite, nothing is scaled.
 *
 * `each` limits every tensor by its own norm, as the published iBOT and DINO code does
 * (`utils.clip_gradients`: g *= min(1, limit / (|g| + 1e-6))); `global` limits the norm of all
 * gradients together. A limit of 0 measures and scales nothing.
 */
export function clipGradients(
  parameters: readonly Tensor[],
  limit: number,
  scope: "each" | "global",
): readonly (number | undefined)[] {
  const norms: (number | undefined)[] = parameters.map(() => undefined);
  const present = parameters.flatMap((parameter, index) => (parameter.grad ? [index] : []));
  if (present.length === 0) return norms;
  noGrad(() =>
    tidy(() => {
      const gradients = present.map((index) => parameters[index]!.grad!);
      const measured = stack(
        call("aten::_foreach_norm.Scalar", gradients, 2) as Tensor[],
      ).toNumbers();
      for (const [place, index] of present.entries()) norms[index] = measured[place]!;
      if (limit <= 0 || !measured.every(Number.isFinite)) return;
      const whole = Math.hypot(...measured);
      const scales = measured.map((norm) =>
        Math.min(1, limit / ((scope === "each" ? norm : whole) + 1e-6)),
      );
      // Most gradients stay below the limit: those are not worth a pass over memory.
      const long = scales.flatMap((scale, place) => (scale < 1 ? [place] : []));
      if (long.length === 0) return;
      call(
        "aten::_foreach_mul_.ScalarList",
        long.map((place) => gradients[place]!),
        long.map((place) => scales[place]!),
      );
    }),
  );
  return norms;
}

/** Moves `slow` towards `fast` in place: slow = momentum * slow + (1 - momentum) * fast. */
export function follow_(slow: readonly Tensor[], fast: readonly Tensor[], momentum: number): void {
  noGrad(() => call("odis::follow_", slow, fast, momentum));
}
