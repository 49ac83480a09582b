import { autocast, cat, empty, fromBuffer, Generator, type Tensor, zeros } from "@odis/torch";
import { flatRows, type Network, type PerKind, type Tape, type TokenKind } from "../model/index.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch, DeviceViews } from "./upload.js";
import type { Batch } from "../batches/index.js";
import { sinkhorn } from "../loss/index.js";
import type { Knobs } from "../recipe/index.js";
import { similarities, type Similarities } from "./watch.js";

/** What a pass over views of one size gives: features that losses read, before the head. */
export interface Read {
  /** per kind [R, D] */
  readonly features: PerKind<Tensor>;
  /** all patches [V * B * N, D], when they were asked for */
  readonly patches: Tensor | undefined;
}

/** The student's word on a batch; global views first. */
export interface StudentOutputs {
  /** logits divided by the temperature, per kind: [S * B, K], objects [S * B * O, K], hidden patches [M, K] */
  readonly logits: PerKind<Tensor>;
  /** features of the global views before the head: [G * B, D], objects [G * B * O, D] */
  readonly features: PerKind<Tensor>;
}

interface PassOptions {
  readonly hidden?: Tensor | undefined;
  readonly dropPath?: Generator | undefined;
  readonly tape?: Tape | undefined;
  /** whether all patches are read */
  readonly allPatches?: boolean;
}

/** The teacher on the global views; call without gradient. */
export function teacherRead({ teacher, recipe }: TrainState, { global }: DeviceBatch): Read {
  // The published patch centre reads every patch; nobody else needs more than the rows of losses.
  const allPatches = recipe.loss.patchCenter === "all" && recipe.loss.patchWeight > 0;
  return run(teacher, global, recipe.loss.objectFrom, { allPatches });
}

/** A part's views, and what draws the branches that the student drops in them. */
export interface PartViews {
  readonly views: DeviceBatch;
  readonly dropPath: Generator | undefined;
}

/** Streams for the dropped branches of each part: several parts have their own, to be passed twice. */
export function dropPaths(
  { recipe, generator }: TrainState,
  parts: number,
): readonly (Generator | undefined)[] {
  if (recipe.model.dropPath === 0) return Array.from({ length: parts }, () => undefined);
  if (parts === 1) return [generator];
  const seeds = empty([parts], { dtype: "float64" }).uniform_(0, 2 ** 53, generator);
  return seeds.toNumbers().map((seed) => new Generator(Math.floor(seed)));
}

/** The student on all views: hidden patches in the global ones only. */
export function studentOutputs(
  { student, recipe }: TrainState,
  { views: { global, local }, dropPath }: PartViews,
  tape: Tape | undefined,
): StudentOutputs {
  const { objectFrom, studentTemperature } = recipe.loss;
  const large = run(student, global, objectFrom, { hidden: global.hidden, dropPath, tape });
  const small = local && run(student, local, objectFrom, { dropPath, tape });
  const all = mapKinds(large.features, (features, kind) => {
    const more = small?.features[kind];
    return more ? cat([features, more], 0) : features;
  });
  const logits = mapKinds(student.project(all), (rows) => rows.float().div(studentTemperature));
  return { logits, features: large.features };
}

/** Features of the global views ahead of `studentOutputs`, the dropped branches included. Call without gradient. */
export function studentFeatures(
  { student, recipe }: TrainState,
  { views: { global }, dropPath }: PartViews,
): PerKind<Tensor> {
  const before = dropPath?.getState();
  const options = { hidden: global.hidden, dropPath };
  const { features } = run(student, global, recipe.loss.objectFrom, options);
  if (dropPath && before) dropPath.setState(before);
  return features;
}

function run(
  network: Network,
  { images, visible, objects, rows }: DeviceViews,
  objectFrom: "token" | "pooled",
  { hidden, dropPath, tape, allPatches = false }: PassOptions,
): Read {
  const { layout } = network.backbone;
  const restricted = layout.objects > 0 ? visible : undefined;
  const options = { visible: restricted, hidden, dropPath, tape };
  if (objectFrom === "token" && !allPatches)
    return {
      features: split(network.forward(images, { ...options, rows: rows.index }), rows),
      patches: undefined,
    };

  const tokens = network.forward(images, options); // [V * B, T, D]
  const patches = layout.patchesOf(tokens); // [V * B, N, D]
  const features = split(flatRows(tokens, rows.index), rows);
  return {
    features:
      objectFrom === "pooled" ? { ...features, object: pool(patches, visible, objects) } : features,
    patches: allPatches ? patches.flatten(0, 1) : undefined,
  };
}

/**
 * Mean feature of an object's patches, 0 for an absent object: the baseline of the paper that pools
 * after the network instead of masking attention inside it.
 *
 * @param patches [V * B, N, D]
 * @param visible [V * B, O, N] bool; without it every object gets the mean over all patches
 * @returns [V * B * O, D]
 */
export function pool(patches: Tensor, visible: Tensor | undefined, O: number): Tensor {
  if (!visible) return patches.mean([1]).repeatInterleave(O, 0);
  const inside = visible.float();
  const share = inside.div(inside.sum(-1, true).clampMin(1));
  return share.matmul(patches).flatten(0, 1);
}

/** Rows [R, D] of all kinds -> those of each kind. */
function split(features: Tensor, { kinds }: DeviceViews["rows"]): PerKind<Tensor> {
  let from = 0;
  return Object.fromEntries(
    kinds.map(({ kind, count }) => {
      from += count;
      return [kind, features.narrow(0, from - count, count)];
    }),
  );
}

export function mapKinds<From, To>(
  values: PerKind<From>,
  change: (value: From, kind: TokenKind) => To,
): PerKind<To> {
  return Object.fromEntries(
    Object.entries(values).map(([kind, value]) => [kind, change(value, kind as TokenKind)]),
  );
}

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

/** Runs a pass in the recipe's precision; losses and statistics stay in float32. */
export function inPrecision<T>({ recipe, device }: TrainState, pass: () => T): T {
  const { precision } = recipe.optim;
  return precision === "float32" ? pass() : autocast(device.split(":")[0]!, precision, pass);
}
