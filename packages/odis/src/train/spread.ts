import { cat, fromBuffer, gradientsOf, noGrad, type Tensor, zeros } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { koleo } from "../loss/koleo.js";
import type { PerKind } from "../model/network.js";
import { kindsRead } from "./combinations.js";
import { type PartViews, studentFeatures } from "./passes.js";
import { inPrecision } from "./precision.js";
import type { TrainState } from "./state.js";

/** A part's share of the batch's KoLeo, from the student's features of its global views. */
export type Spread = (features: PerKind<Tensor>) => Tensor;

/**
 * KoLeo of a batch, whatever the number of parts that compute it. It compares all images with each
 * other; so with several parts all features are computed ahead without a graph, and each part carries
 * its rows of the whole batch's gradient through the network (gradient caching, Gao et al. 2021).
 * That costs a second pass over the global views. The shares sum to the batch's value.
 *
 * @returns one for each part
 */
export function spreadOf(
  state: TrainState,
  { global }: Batch,
  parts: readonly PartViews[],
): readonly Spread[] {
  const { recipe, device } = state;
  const none = zeros([], { device });
  if (recipe.loss.koleoWeight === 0) return parts.map(() => () => none);
  const kind = kindsRead(recipe).includes("object") ? "object" : "cls";
  const summaries = (features: PerKind<Tensor>): Tensor =>
    features[kind]!.float().reshape([global.views, -1, recipe.model.dim]); // [G, R, D]
  const present = kind === "object" ? global.present : undefined;
  if (parts.length === 1) return [(features) => koleoOfPresent(summaries(features), present)];

  const ahead = noGrad(() =>
    parts.map((part) => summaries(inPrecision(state, () => studentFeatures(state, part)))),
  );
  const whole = cat(ahead, 1).requiresGrad_();
  const value = koleoOfPresent(whole, present);
  // Where no view has two objects, nobody is pushed.
  if (!value.requiresGrad) return parts.map(() => () => none);
  const [gradient] = gradientsOf([value], [whole]);
  const share = value.detach().div(parts.length);
  const rows = whole.dims(3)[1] / parts.length;
  return parts.map((_, part) => (features) => {
    const carried = summaries(features)
      .mul(gradient!.narrow(1, part * rows, rows))
      .sum();
    return carried.sub(carried.detach()).add(share);
  });
}

/**
 * Mean KoLeo over the global views, each among the rows whose object is present in it.
 *
 * @param features [G, R, D]
 * @param present [G, R] bytes, default: all
 */
function koleoOfPresent(features: Tensor, present: Uint8Array | undefined): Tensor {
  const [G, R] = features.dims(3);
  let sum = zeros([], { device: features.device });
  for (let g = 0; g < G; g += 1) {
    const rows = Array.from({ length: R }, (_, r) => r).filter(
      (r) => !present || present[g * R + r],
    );
    if (rows.length < 2) continue; // nobody to keep a distance from
    const index = fromBuffer(BigInt64Array.from(rows, BigInt), [rows.length]);
    const view = features.select(0, g).indexSelect(0, index.to({ device: features.device }));
    sum = sum.add(koleo(view).div(G));
  }
  return sum;
}
