import { noGrad } from "../autograd.js";
import { full } from "../creation.js";
import { call } from "../dispatch.js";
import { stack } from "../ops.js";
import { tidy } from "../scope.js";
import type { Tensor } from "../tensor.js";

/**
 * Scales gradients in place and returns their norms before that, [n] on their device: nothing is
 * read by the host. Gradients that are not finite come out as NaN; their norms tell.
 *
 * `each` limits every tensor by its own norm, as the published iBOT and DINO code does
 * (`utils.clip_gradients`: g *= min(1, limit / (|g| + 1e-6))); `global` limits the norm of all
 * gradients together. A limit of 0 measures and scales nothing.
 *
 * @param gradients at least one
 */
export function clipGradients(
  gradients: readonly Tensor[],
  limit: number,
  scope: "each" | "global",
): Tensor {
  return noGrad(() =>
    tidy(() => {
      const norms = stack(call("aten::_foreach_norm.Scalar", gradients, 2) as Tensor[]);
      if (limit <= 0) return norms;
      const { dtype, device } = norms;
      const measured = norms.double();
      const reached = scope === "each" ? measured : measured.norm().expand(norms.shape);
      const most = full([], limit, { dtype: "float64", device });
      const scales = most.div(reached.add(1e-6)).clamp(undefined, 1).to({ dtype });
      call("aten::_foreach_mul_.List", gradients, scales.unbind());
      return norms;
    }),
  );
}

/** Moves `slow` towards `fast` in place: slow = momentum * slow + (1 - momentum) * fast. */
export function emaUpdate_(
  slow: readonly Tensor[],
  fast: readonly Tensor[],
  momentum: number,
): void {
  noGrad(() => call("odis::ema_update_", slow, fast, momentum));
}
