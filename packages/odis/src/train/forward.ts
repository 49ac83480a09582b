import { autocast, cat, type Tensor, zeros } from "@odis/torch";
import { sinkhorn } from "../loss/index.js";
import {
  flatRows,
  type Network,
  type PerKind,
  type ActivationCheckpointing,
  type TokenKind,
} from "../model/index.js";
import type { Recipe, ScheduleValues } from "../recipe/index.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch, DeviceViews, MicroBatch } from "./upload.js";

/** What a pass over views of one size gives: features that losses read, before the head. */
interface PassFeatures {
  /** per kind [R, D] */
  readonly features: PerKind<Tensor>;
  /** all patches [V * B * N, D], when they were asked for */
  readonly patches: Tensor | undefined;
}

/** The student's word on some images; global views first. */
export interface StudentOutputs {
  /** logits divided by the temperature, per kind: [S * B, K], objects [S * B * O, K], hidden patches [M, K] */
  readonly logits: PerKind<Tensor>;
  /** features of the global views before the head: [G * B, D], objects [G * B * O, D] */
  readonly features: PerKind<Tensor>;
}

interface PassOptions {
  /** whether patches are hidden and branches dropped */
  readonly asStudent?: boolean;
  readonly checkpointing?: ActivationCheckpointing | undefined;
  /** whether all patches are read */
  readonly allPatches?: boolean;
}

/** The student on all views: hidden patches in the global ones only. */
export function studentOutputs(
  { student, recipe }: TrainState,
  { global, local }: MicroBatch,
  checkpointing: ActivationCheckpointing | undefined,
): StudentOutputs {
  const { objectFrom, studentTemperature } = recipe.loss;
  const large = pass(student, global, objectFrom, { asStudent: true, checkpointing });
  const small = local && pass(student, local, objectFrom, { asStudent: true, checkpointing });
  const all = mapKinds(large.features, (features, kind) => {
    const more = small?.features[kind];
    return more ? cat([features, more], 0) : features;
  });
  const logits = mapKinds(student.project(all), (rows) => rows.float().div(studentTemperature));
  return { logits, features: large.features };
}

/** Features of the global views ahead of `studentOutputs`. Call without gradient. */
export function studentFeatures(
  { student, recipe }: TrainState,
  { global }: MicroBatch,
): PerKind<Tensor> {
  return pass(student, global, recipe.loss.objectFrom, { asStudent: true }).features;
}

function pass(
  network: Network,
  { images, visible, objects, rows, packing, hidden, drops }: DeviceViews,
  objectFrom: "token" | "pooled",
  { asStudent = false, checkpointing, allPatches = false }: PassOptions,
): PassFeatures {
  const { layout } = network.backbone;
  const restricted = layout.objects > 0 ? visible : undefined;
  const options = {
    visible: restricted,
    packing,
    ...(asStudent && { hidden, drops }),
    checkpointing,
  };
  if (objectFrom === "token" && !allPatches)
    return {
      features: byKind(network.forward(images, { ...options, rows: rows.index }), rows),
      patches: undefined,
    };

  const tokens = network.forward(images, options); // [V * B, T, D]
  const patches = layout.patchesOf(tokens); // [V * B, N, D]
  const features = byKind(flatRows(tokens, rows.index), rows);
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
function byKind(features: Tensor, { kinds }: DeviceViews["rows"]): PerKind<Tensor> {
  let from = 0;
  return Object.fromEntries(
    kinds.map(({ kind, count }) => {
      from += count;
      return [kind, features.narrow(0, from - count, count)];
    }),
  );
}

/** The teacher's word on a batch. */
export interface Targets {
  /** probabilities, per kind: [G, B, K], objects [G, B * O, K], hidden patches [M, K] */
  readonly whole: PerKind<Tensor>;
  /** those of each micro-batch */
  readonly micro: readonly PerKind<Tensor>[];
  /** what moves the centres: sums of logits over `DeviceBatch.centerRows` rows, [K] */
  readonly centerSums: PerKind<Tensor>;
  /** the teacher's [OBJ], else [CLS], before the head: [G, R, D]; undefined when no loss reads one */
  readonly summaries: Tensor | undefined;
}

/**
 * Runs the teacher on all micro-batches and turns its logits into targets: over the whole batch, so
 * that targets do not depend on how it was cut. Call without gradient.
 */
export function teacherTargets(
  state: TrainState,
  batch: DeviceBatch,
  values: ScheduleValues,
): Targets {
  const { teacher, recipe } = state;
  const { objectFrom, patchCenter, patchWeight } = recipe.loss;
  // The published patch centre reads every patch; nobody else needs more than the rows of losses.
  const allPatches = patchCenter === "all" && patchWeight > 0;
  const passes = batch.microBatches.map(({ global }) =>
    inPrecision(state, () => pass(teacher, global, objectFrom, { allPatches })),
  );
  const logits = passes.map(({ features }) =>
    mapKinds(
      inPrecision(state, () => teacher.project(features)),
      (rows, kind) => byView(rows.float(), kind, batch.globals),
    ),
  );
  const whole = joined(logits);
  const targets = mapKinds(whole, (rows, kind) => sharpened(state, batch, rows, kind, values));
  const { object, cls } = joined(
    passes.map(({ features }) =>
      mapKinds(features, (rows, kind) => byView(rows, kind, batch.globals)),
    ),
  );
  return {
    whole: targets,
    micro: apart(targets, logits),
    centerSums: mapKinds(whole, (rows, kind) =>
      kind === "patch"
        ? patchSum(state, passes, rows)
        : summarySum(rows, kind === "object" ? objectRows(recipe, batch) : {}),
    ),
    summaries: object ?? cls,
  };
}

/** Rows of summaries by view: [V * R, W] -> [V, R, W]; patches stay [M, W]. */
function byView(rows: Tensor, kind: TokenKind, views: number): Tensor {
  return kind === "patch" ? rows : rows.reshape([views, -1, rows.dims(2)[1]]);
}

/** The axis along which micro-batches follow each other. */
const axis = (kind: TokenKind): number => (kind === "patch" ? 0 : 1);

function joined(pieces: readonly PerKind<Tensor>[]): PerKind<Tensor> {
  if (pieces.length === 1) return pieces[0]!;
  return mapKinds(pieces[0]!, (_, kind) =>
    cat(
      pieces.map((piece) => piece[kind]!),
      axis(kind),
    ),
  );
}

function apart(
  whole: PerKind<Tensor>,
  like: readonly PerKind<Tensor>[],
): readonly PerKind<Tensor>[] {
  const from = { cls: 0, object: 0, patch: 0 };
  return like.map((piece) =>
    mapKinds(piece, (rows, kind) => {
      const length = rows.shape[axis(kind)]!;
      from[kind] += length;
      return whole[kind]!.narrow(axis(kind), from[kind] - length, length);
    }),
  );
}

/** Logits [..., K] -> probabilities, kept from collapsing by a moving centre or by Sinkhorn-Knopp. */
function sharpened(
  { centers, world, recipe: { loss } }: TrainState,
  { presence, targetRows }: DeviceBatch,
  logits: Tensor,
  kind: TokenKind,
  { teacherTemperature, objectTemperature, patchTemperature }: ScheduleValues,
): Tensor {
  const temperatures = {
    cls: teacherTemperature,
    object: objectTemperature,
    patch: patchTemperature,
  };
  const temperature = temperatures[kind];
  if (loss.centering === "mean") return centers[kind]!.sharpen(logits, temperature);
  const rows = logits.flatten(0, -2);
  const others = { rows: targetRows[kind]!, gather: (own: Tensor) => world.gather(own) };
  const everyone = world.size > 1 ? others : undefined;
  const balance = (some: Tensor): Tensor =>
    sinkhorn(some, temperature, loss.sinkhornIterations, everyone);
  const there = kind === "object" ? presence?.rows : undefined;
  if (!there) return balance(rows).reshape(logits.shape);
  // Absent objects all look alike: balanced with the others they would claim prototypes for nothing.
  const none = zeros(rows.shape, { device: rows.device });
  return none.indexAdd(0, there, balance(rows.indexSelect(0, there))).reshape(logits.shape);
}

/** Which [OBJ] rows move which centre. */
interface ObjectRows {
  /** [G, B * O], 1 for rows that count; undefined: all do */
  readonly flags?: Tensor | undefined;
  /** O, where each of an image's tokens has a centre of its own */
  readonly tokens?: number | undefined;
}

function objectRows({ loss }: Recipe, { presence, objects }: DeviceBatch): ObjectRows {
  return {
    flags: loss.objectCenterRows === "present" ? presence?.flags : undefined,
    tokens: loss.objectCenters === "each" ? objects : undefined,
  };
}

/** Logits of summaries [G, R, K] -> the sum of those that move the centre: [K], or [O, K]. */
export function summarySum(logits: Tensor, { flags, tokens }: ObjectRows): Tensor {
  const counted = flags ? logits.mul(flags.float().unsqueeze(-1)) : logits;
  const K = logits.dims(3)[2];
  return tokens === undefined
    ? counted.flatten(0, 1).sum([0])
    : counted.reshape([-1, tokens, K]).sum([0]);
}

/**
 * Logits of the patches that move the centre: the sum of those of hidden patches, or the mean of
 * all as published. The prototypes are linear, so that mean is taken before them: K numbers instead
 * of K per patch.
 */
function patchSum(
  { teacher }: TrainState,
  passes: readonly PassFeatures[],
  hidden: Tensor,
): Tensor {
  const head = teacher.headOf("patch");
  const all = passes.flatMap(
    ({ patches }) => (patches ? head.embed(patches).mean([0], true) : []), // [1, bottleneck]
  );
  if (all.length === 0) return hidden.sum([0]);
  return head
    .prototypesOf("patch")
    .forward(cat(all, 0).mean([0], true))
    .squeeze(0);
}

function mapKinds<From, To>(
  values: PerKind<From>,
  change: (value: From, kind: TokenKind) => To,
): PerKind<To> {
  return Object.fromEntries(
    Object.entries(values).map(([kind, value]) => [kind, change(value, kind as TokenKind)]),
  );
}

/** Runs a pass in the recipe's precision; losses and statistics stay in float32. */
export function inPrecision<T>({ recipe, device }: TrainState, run: () => T): T {
  const { precision } = recipe.optim;
  return precision === "float32" ? run() : autocast(device.split(":")[0]!, precision, run);
}
