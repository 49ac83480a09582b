import { fromBuffer, Tensor, tidy } from "@odis/torch";
import { type Batch, imagesOf } from "../batches/index.js";
import { hiddenRows, pairWeights } from "../loss/index.js";
import { normalise, type PerKind, type TokenKind } from "../model/index.js";
import { kindsRead, type ScheduleValues } from "../recipe/index.js";
import type { TrainState } from "./state.js";

/**
 * A batch on the device, with all that is known of it before a network has seen it: from here to
 * its only read a step waits for nothing on the host. Dispose of it after the step.
 */
export interface DeviceBatch extends Disposable {
  /** names of the images, for messages */
  readonly keys: readonly string[];
  /** B */
  readonly images: number;
  /** O */
  readonly objects: number;
  /** G */
  readonly globals: number;
  /** the batch in equal pieces of consecutive images (`optim.accumulate`) */
  readonly microBatches: readonly MicroBatch[];
  /** weight in the loss of every pair of views of every summary, [S, G, R]; R is B, or B * O */
  readonly pairs: PerKind<Tensor>;
  /** how many rows of the teacher's logits move the centre of each kind, [], or [O, 1], float64 */
  readonly centerRows: PerKind<Tensor>;
  /** undefined when no loss reads [OBJ] */
  readonly presence: Presence | undefined;
}

/** Some images of a batch. */
export interface MicroBatch {
  readonly images: number;
  readonly global: DeviceViews;
  /** undefined when there are none, or no loss reads them */
  readonly local: DeviceViews | undefined;
  /** those of the batch that belong to these images */
  readonly pairs: PerKind<Tensor>;
  /** weight in the loss of every hidden patch, [M] */
  readonly hiddenWeights: Tensor;
}

/** Views of one size, and the rows of their tokens that losses read. */
export interface DeviceViews {
  readonly images: Tensor; // [V * B, 3, S, S]
  /** patches of each object, [V * B, O, N] bool; undefined when nobody asks for them */
  readonly visible: Tensor | undefined;
  /** O */
  readonly objects: number;
  /** [V * B, N] bool; undefined when no loss reads hidden patches */
  readonly hidden: Tensor | undefined;
  readonly rows: TokenRows;
}

/** Where the tokens of each kind are in tokens flattened to [V * B * T, D]. */
export interface TokenRows {
  /** [R] int64: the rows of all kinds, in the order of `kinds` */
  readonly index: Tensor;
  readonly kinds: readonly { readonly kind: TokenKind; readonly count: number }[];
}

/** Which objects are in which global view. */
export interface Presence {
  /** [G, B * O] float64: 1 where the object is there, else 0 */
  readonly flags: Tensor;
  /** [R] int64: the rows of [G * B * O] whose object is there; undefined when all are */
  readonly rows: Tensor | undefined;
  /** for each view [R'] int64: the rows of its [B * O] whose object is there */
  readonly perView: readonly Tensor[];
}

/** Brings what the recipe reads of a batch to the device. */
export function upload(state: TrainState, batch: Batch, values: ScheduleValues): DeviceBatch {
  const content = tidy(() => contentOf(state, batch, values));
  return {
    ...content,
    [Symbol.dispose]() {
      for (const tensor of tensorsOf(content)) tensor.free();
    },
  };
}

type Content = Omit<DeviceBatch, typeof Symbol.dispose>;

function contentOf(state: TrainState, whole: Batch, { hidePatches }: ScheduleValues): Content {
  const batch = hidePatches ? whole : withoutHidden(whole);
  const { recipe, device } = state;
  const { size: B, objects: O, global } = batch;
  const pairs = pairsOf(state, batch);
  const kinds = kindsRead(recipe);
  const count = recipe.optim.accumulate;
  const size = B / count;
  const microBatches = Array.from({ length: count }, (_, piece) =>
    microBatch(state, imagesOf(batch, piece * size, size), {
      B,
      pairs: pairsOfImages(pairs, { from: piece * size, size, B }),
    }),
  );
  return {
    keys: batch.keys,
    images: B,
    objects: O,
    globals: global.views,
    microBatches,
    pairs,
    centerRows: centerRows(state, batch),
    presence: kinds.includes("object") ? presenceOf(batch, device) : undefined,
  };
}

function withoutHidden(batch: Batch): Batch {
  return {
    ...batch,
    global: { ...batch.global, hidden: new Uint8Array(batch.global.hidden.length) },
  };
}

function microBatch(
  { recipe, device, student }: TrainState,
  { size, objects: O, global, local }: Batch,
  whole: { readonly B: number; readonly pairs: PerKind<Tensor> },
): MicroBatch {
  const { layout } = student.backbone;
  const { patch } = recipe.model;
  const kinds = kindsRead(recipe);
  const pooled = recipe.loss.objectFrom === "pooled";
  const bools = (bytes: Uint8Array, shape: readonly number[]): Tensor =>
    fromBuffer(bytes, shape, { dtype: "bool", device });

  const views = (
    { views: V, size: side, pixels, visible }: Batch["local"] | Batch["global"],
    hidden?: { readonly bytes: Uint8Array; readonly rows: readonly number[] },
  ): DeviceViews => {
    const N = (side / patch) ** 2;
    const rowsOf: PerKind<readonly number[]> = {
      cls: layout.cls ? layout.flatCls(V * size, N) : [],
      object: pooled ? [] : layout.flatObjects(V * size, N),
      ...(hidden && { patch: hidden.rows }),
    };
    const read = kinds.flatMap((kind) => {
      // Pooled features are made of patches, not of rows of their own.
      const rows = kind === "object" && pooled ? undefined : rowsOf[kind];
      return rows ? [{ kind, rows }] : [];
    });
    return {
      images: normalise(pixels, [V * size, 3, side, side], device),
      visible:
        visible && (layout.objects > 0 || pooled) ? bools(visible, [V * size, O, N]) : undefined,
      objects: O,
      hidden: hidden && bools(hidden.bytes, [V * size, N]),
      rows: {
        index: indexTensor(
          read.flatMap(({ rows }) => rows),
          device,
        ),
        kinds: read.map(({ kind, rows }) => ({ kind, count: rows.length })),
      },
    };
  };

  const N = (global.size / patch) ** 2;
  const guesses = kinds.includes("patch");
  const hidden = hiddenRows(guesses ? global.hidden : new Uint8Array(), global.views * size, N);
  const rows = Array.from(hidden.view, (view, m) => layout.flatPatch(view, hidden.patch[m]!, N));
  const summaries = kinds.some((kind) => kind !== "patch");
  return {
    images: size,
    global: views(global, guesses ? { bytes: global.hidden, rows } : undefined),
    local: local.views > 0 && summaries ? views(local) : undefined,
    pairs: whole.pairs,
    hiddenWeights: fromBuffer(
      hidden.weight.map((one) => (one * size) / whole.B),
      [rows.length],
      { device },
    ),
  };
}

/** Weights of pairs of views for a whole batch: [S, G, B], objects [S, G, B * O]. */
function pairsOf(
  { recipe, device }: TrainState,
  { global, local, size: B, objects }: Batch,
): PerKind<Tensor> {
  const [G, S] = [global.views, global.views + local.views];
  const everywhere = new Uint8Array(S * B).fill(1);
  const weights = (student: Uint8Array, teacher: Uint8Array, O: number): Tensor =>
    fromBuffer(
      pairWeights({ student, teacher }, { S, G, B, O }, recipe.loss.pairMean),
      [S, G, B * O],
      { device },
    );
  const kinds = kindsRead(recipe);
  return {
    ...(kinds.includes("cls") && { cls: weights(everywhere, everywhere.subarray(0, G * B), 1) }),
    ...(kinds.includes("object") && {
      object: weights(Buffer.concat([global.present, local.present]), global.present, objects),
    }),
  };
}

/** The share of some images in the weights of a whole batch. */
function pairsOfImages(
  pairs: PerKind<Tensor>,
  { from, size, B }: { readonly from: number; readonly size: number; readonly B: number },
): PerKind<Tensor> {
  if (size === B) return pairs;
  return Object.fromEntries(
    Object.entries(pairs).map(([kind, weights]) => {
      const perImage = weights.dims(3)[2] / B;
      return [kind, weights.narrow(2, from * perImage, size * perImage).contiguous()];
    }),
  );
}

function centerRows(
  { recipe, device }: TrainState,
  { size: B, objects: O, global: { views: G, hidden, present } }: Batch,
): PerKind<Tensor> {
  const { patchCenter, objectCenterRows, objectCenters } = recipe.loss;
  const counted = objectCenterRows === "present" ? present : present.map(() => 1);
  const ofToken = (o: number): number => count(counted.filter((_, row) => row % O === o));
  const rows = {
    cls: [G * B],
    object:
      objectCenters === "each" ? Array.from({ length: O }, (_, o) => ofToken(o)) : [count(counted)],
    patch: [patchCenter === "all" ? 1 : count(hidden)], // of all patches the mean comes as one row
  };
  return Object.fromEntries(
    kindsRead(recipe).map((kind) => {
      const shape = kind === "object" && objectCenters === "each" ? [O, 1] : [];
      return [kind, fromBuffer(Float64Array.from(rows[kind]), shape, { device })];
    }),
  );
}

const count = (flags: Uint8Array): number => flags.reduce((sum, flag) => sum + flag, 0);

function presenceOf(
  { global: { present, views: G }, size: B, objects: O }: Batch,
  device: string,
): Presence {
  const there = (flags: Uint8Array): number[] => [...flags.keys()].filter((row) => flags[row]);
  return {
    flags: fromBuffer(Float64Array.from(present), [G, B * O], { device }),
    rows: present.every((flag) => flag === 1) ? undefined : indexTensor(there(present), device),
    perView: Array.from({ length: G }, (_, view) =>
      indexTensor(there(present.subarray(view * B * O, (view + 1) * B * O)), device),
    ),
  };
}

function indexTensor(rows: readonly number[], device: string): Tensor {
  return fromBuffer(BigInt64Array.from(rows, BigInt), [rows.length], { device });
}

/** Every tensor of a batch. */
export function tensorsOf(batch: Content): Iterable<Tensor> {
  return tensorsIn(batch);
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value))
    for (const item of Object.values(value)) yield* tensorsIn(item);
}
