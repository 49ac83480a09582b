import { fromBuffer, type Tensor, zeros } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { crossViewLoss, rowLoss } from "../loss/cross-entropy.js";
import { koleo } from "../loss/koleo.js";
import { pairWeights } from "../loss/pairs.js";
import type { DeviceViews, StudentOutputs, Targets } from "./passes.js";
import type { TrainState } from "./state.js";

/** Weighted terms; they sum to `total`, which is what is differentiated. */
export interface Objective {
  readonly total: Tensor;
  readonly object: Tensor;
  readonly patch: Tensor;
  readonly koleo: Tensor;
  /** weight of each pair of views: [S, G, B] */
  readonly pairs: Float32Array;
}

/** L = λobj L[OBJ] + λpatch L[PATCH] + λkoleo KoLeo (paper section 3.3; KoLeo is an extension). */
export function objective(
  { recipe, device }: TrainState,
  batch: Batch,
  views: DeviceViews,
  targets: Targets,
  outputs: StudentOutputs,
): Objective {
  const { loss } = recipe;
  const [S, B] = outputs.object.dims(3);
  const [G] = targets.object.dims(3);
  const presence = {
    student: Buffer.concat([batch.global.present, batch.local.present]),
    teacher: batch.global.present,
  };
  const pairs = pairWeights(presence, { S, G, B, O: 1 }, loss.pairMean);
  const upload = (values: Float32Array, shape: readonly number[]): Tensor =>
    fromBuffer(values, shape).to({ device });

  const object = crossViewLoss(outputs.object, targets.object, upload(pairs, [S, G, B])).mul(
    loss.objectWeight,
  );
  const { weight } = views.hiddenRows;
  const patch =
    outputs.patch && targets.patch
      ? rowLoss(outputs.patch, targets.patch, upload(weight, [weight.length])).mul(loss.patchWeight)
      : zeros([], { device });
  const spread =
    loss.koleoWeight > 0
      ? koleoOfPresent(outputs.features, batch.global.present).mul(loss.koleoWeight)
      : zeros([], { device });
  return { total: object.add(patch).add(spread), object, patch, koleo: spread, pairs };
}

/** Mean KoLeo over the global views, each among the images whose object is present in it. */
function koleoOfPresent(features: Tensor, present: Uint8Array): Tensor {
  const [G, B] = features.dims(3);
  let sum = zeros([], { device: features.device });
  for (let g = 0; g < G; g += 1) {
    const rows = [...present.subarray(g * B, (g + 1) * B).keys()].filter((b) => present[g * B + b]);
    if (rows.length < 2) continue; // nobody to keep a distance from
    const index = fromBuffer(BigInt64Array.from(rows, BigInt), [rows.length]);
    const view = features.select(0, g).indexSelect(0, index.to({ device: features.device }));
    sum = sum.add(koleo(view).div(G));
  }
  return sum;
}
