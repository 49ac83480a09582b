import { fromBuffer, type Tensor, zeros } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { crossViewLoss, rowLoss } from "../loss/cross-entropy.js";
import { pairWeights } from "../loss/pairs.js";
import type { PerKind } from "../model/network.js";
import { type Part, shareOf } from "./parts.js";
import type { StudentOutputs } from "./passes.js";
import type { Spread } from "./spread.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch } from "./upload.js";

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
