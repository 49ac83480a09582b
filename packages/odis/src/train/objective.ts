import { cat, fromBuffer, gradientsOf, noGrad, type Tensor, zeros } from "@odis/torch";
import type { Batch } from "../batches/index.js";
import { crossViewLoss, koleo, pairWeights, rowLoss } from "../loss/index.js";
import type { PerKind } from "../model/index.js";
import { type DeviceBatch, type Part, shareOf } from "./upload.js";
import { inPrecision, type PartViews, studentFeatures, type StudentOutputs } from "./forward.js";
import type { TrainState } from "./state.js";
import { kindsRead } from "../recipe/index.js";

/** The names of the loss terms; their weighted values sum to `total`, which is differentiated. */
export const termNames = ["cls", "object", "patch", "koleo"] as const;
export type TermName = (typeof termNames)[number];
export type Terms = Readonly<Record<TermName, Tensor>> & { readonly total: Tensor };

/** Weights of pairs of views for a whole batch, known before anything runs: [S, G, B, O]. */
export interface Pairs {
  readonly cls: Float32Array;
  readonly object: Float32Array;
}

export function pairsOf(
  { recipe }: TrainState,
  { global, local, size: B, objects: O }: Batch,
): Pairs {
  const [G, S] = [global.views, global.views + local.views];
  const { pairMean } = recipe.loss;
  const everywhere = new Uint8Array(S * B).fill(1);
  const cls = { student: everywhere, teacher: everywhere.subarray(0, G * B) };
  const objects = {
    student: Buffer.concat([global.present, local.present]),
    teacher: global.present,
  };
  return {
    cls: pairWeights(cls, { S, G, B, O: 1 }, pairMean),
    object: pairWeights(objects, { S, G, B, O }, pairMean),
  };
}

/** What a part's losses read beside the student's outputs. */
export interface PartInputs {
  readonly part: Part;
  readonly views: DeviceBatch;
  readonly targets: PerKind<Tensor>;
  readonly spread: Spread;
}

/**
 * L = λcls L[CLS] + λobj L[OBJ] + λpatch L[PATCH] + λkoleo KoLeo of a part's images (paper section
 * 3.3; KoLeo is an extension). The parts' terms sum to those of the whole batch.
 */
export function objective(
  { recipe, device }: TrainState,
  { size: B, objects: O }: Batch,
  pairs: Pairs,
  { part, views, targets, spread }: PartInputs,
  { logits, features }: StudentOutputs,
): Terms {
  const { loss } = recipe;
  const none = zeros([], { device });
  const across = (kind: "cls" | "object", weights: Float32Array, objects: number): Tensor => {
    const [student, teacher] = [logits[kind], targets[kind]];
    if (!student || !teacher) return none;
    const [G, R, K] = teacher.dims(3);
    const share = shareOf(weights, part, { B, O: objects });
    const weight = fromBuffer(share, [share.length / G / R, G, R]).to({ device });
    return crossViewLoss(student.reshape([-1, R, K]), teacher, weight);
  };
  const guessed = (): Tensor => {
    if (!logits.patch || !targets.patch) return none;
    const weight = views.hiddenRows.weight.map((one) => (one * views.images) / B);
    return rowLoss(logits.patch, targets.patch, fromBuffer(weight, [weight.length]).to({ device }));
  };
  const cls = across("cls", pairs.cls, 1).mul(loss.clsWeight);
  const object = across("object", pairs.object, O).mul(loss.objectWeight);
  const patch = guessed().mul(loss.patchWeight);
  const koleoTerm = spread(features).mul(loss.koleoWeight);
  return {
    cls,
    object,
    patch,
    koleo: koleoTerm,
    total: cls.add(object).add(patch).add(koleoTerm),
  };
}

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
