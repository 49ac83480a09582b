import { cat, empty, Generator, type Tensor } from "@odis/torch";
import { flatRows } from "../model/attention.js";
import type { TokenKind } from "../model/head.js";
import type { Network, PerKind } from "../model/network.js";
import type { Tape } from "../model/tape.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch, DeviceViews } from "./upload.js";

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
