import { cat, fromBuffer, type Tensor, zeros } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { sinkhorn } from "../loss/centering.js";
import type { TokenKind } from "../model/head.js";
import type { PerKind } from "../model/network.js";
import type { Knobs } from "./knobs.js";
import { mapKinds, type Read, teacherRead } from "./passes.js";
import { inPrecision } from "./precision.js";
import { similarities, type Similarities } from "./similarities.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch } from "./upload.js";

/** The teacher's word on a batch. */
export interface Targets {
  /** probabilities, per kind: [G, B, K], objects [G, B * O, K], hidden patches [M, K] */
  readonly whole: PerKind<Tensor>;
  /** those of each part */
  readonly parts: readonly PerKind<Tensor>[];
  /** means of the logits that will move the centres, [K] */
  readonly means: PerKind<Tensor>;
  readonly similarities: Similarities;
}

/**
 * Runs the teacher on all parts of a batch and turns its logits into targets: over the whole batch,
 * so that targets do not depend on how it was cut. Call without gradient.
 */
export function teacherTargets(
  state: TrainState,
  parts: readonly DeviceBatch[],
  { global, size: B, objects: O }: Batch,
  knobs: Knobs,
): Targets {
  const reads = parts.map((part) => inPrecision(state, () => teacherRead(state, part)));
  const logits = reads.map(({ features }) =>
    mapKinds(
      inPrecision(state, () => state.teacher.project(features)),
      (rows, kind) => byView(rows.float(), kind, global.views),
    ),
  );
  const whole = joined(logits);
  const targets = mapKinds(whole, (rows, kind) =>
    sharpened(state, rows, kind, kind === "object" ? global.present : undefined, knobs),
  );
  const features = joined(
    reads.map((read) => mapKinds(read.features, (rows, kind) => byView(rows, kind, global.views))),
  );
  const { object, cls } = features;
  return {
    whole: targets,
    parts: apart(targets, logits),
    means: mapKinds(whole, (rows, kind) =>
      kind === "patch" ? patchMean(state, reads, rows) : rows.flatten(0, -2).mean([0]),
    ),
    similarities: object
      ? similarities(object, global.present, { B, O })
      : similarities(cls, undefined, { B, O: 1 }),
  };
}

/** Rows of summaries by view: [V * R, W] -> [V, R, W]; patches stay [M, W]. */
function byView(rows: Tensor, kind: TokenKind, views: number): Tensor {
  return kind === "patch" ? rows : rows.reshape([views, -1, rows.dims(2)[1]]);
}

/** The axis along which parts follow each other. */
const axis = (kind: TokenKind): number => (kind === "patch" ? 0 : 1);

function joined(parts: readonly PerKind<Tensor>[]): PerKind<Tensor> {
  if (parts.length === 1) return parts[0]!;
  const kinds = [...new Set(parts.flatMap((part) => Object.keys(part) as TokenKind[]))];
  return Object.fromEntries(
    kinds.map((kind) => {
      const present = parts.flatMap((part) => part[kind] ?? []);
      return [kind, cat(present, axis(kind))];
    }),
  );
}

function apart(
  whole: PerKind<Tensor>,
  like: readonly PerKind<Tensor>[],
): readonly PerKind<Tensor>[] {
  const from = { cls: 0, object: 0, patch: 0 };
  return like.map((part) =>
    mapKinds(part, (rows, kind) => {
      const length = rows.shape[axis(kind)]!;
      from[kind] += length;
      return whole[kind]!.narrow(axis(kind), from[kind] - length, length);
    }),
  );
}

/** Logits [..., K] -> probabilities, kept from collapsing by a moving centre or by Sinkhorn-Knopp. */
function sharpened(
  { centers, recipe: { loss } }: TrainState,
  logits: Tensor,
  kind: TokenKind,
  present: Uint8Array | undefined,
  { patchTemperature, teacherTemperature }: Knobs,
): Tensor {
  const temperature = kind === "patch" ? patchTemperature : teacherTemperature;
  if (loss.centering === "mean") return centers[kind]!.sharpen(logits, temperature);
  const rows = logits.flatten(0, -2);
  const balance = (some: Tensor): Tensor => sinkhorn(some, temperature, loss.sinkhornIterations);
  if (!present || present.every((bit) => bit === 1)) return balance(rows).reshape(logits.shape);
  // Absent objects all look alike: balanced with the others they would claim prototypes for nothing.
  const there = BigInt64Array.from(
    [...present.keys()].filter((row) => present[row]),
    BigInt,
  );
  const none = zeros(rows.shape, { device: rows.device });
  if (there.length === 0) return none.reshape(logits.shape);
  const index = fromBuffer(there, [there.length]).to({ device: rows.device });
  return none.indexAdd(0, index, balance(rows.indexSelect(0, index))).reshape(logits.shape);
}

/**
 * Mean logits of the patches that move the centre: of hidden ones, or of all as published. The
 * prototypes are linear, so the mean is taken before them: K numbers instead of K per patch.
 */
function patchMean({ teacher }: TrainState, reads: readonly Read[], hidden: Tensor): Tensor {
  const head = teacher.headOf("patch");
  const all = reads.flatMap(
    ({ patches }) => (patches ? head.embed(patches).mean([0], true) : []), // [1, bottleneck]
  );
  if (all.length === 0) return hidden.mean([0]);
  return head
    .prototypesOf("patch")
    .forward(cat(all, 0).mean([0], true))
    .squeeze(0);
}
