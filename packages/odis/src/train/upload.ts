import { fromBuffer, Tensor, tidy } from "@odis/torch";
import { type Batch, imagesOf } from "../batches/index.js";
import { type HiddenRows, hiddenRows, pairWeights } from "../loss/index.js";
import {
  type Packing,
  packObjects,
  type PerKind,
  rowIndex,
  type TokenKind,
} from "../model/index.js";
import { kindsRead, readsObjectsAlone, type ScheduleValues } from "../recipe/index.js";
import { drawDrops, type PassDrops } from "./drops.js";
import { count, type Facts, meet, presenceInViews, viewShape } from "./facts.js";
import { piecesOf, type TrainState } from "./state.js";
import { viewImages } from "./view-images.js";

/**
 * A batch on the device, with all that is known of it before a network has seen it: from here to
 * its only read a step waits for nothing on the host. Of several processes each has its images;
 * whatever counts images, pairs or patches counts those of all. Dispose of it after the step.
 */
export interface DeviceBatch extends Disposable {
  /** names of the images, for messages */
  readonly keys: readonly string[];
  /** O */
  readonly objects: number;
  /** G */
  readonly globals: number;
  /** the images in equal pieces of consecutive ones (`optim.accumulate`) */
  readonly microBatches: readonly MicroBatch[];
  /** weight in the loss of every pair of views of every summary, [S, G, R]; R is B, or B * O */
  readonly pairs: PerKind<Tensor>;
  /** how many rows of the teacher's logits move the centre of each kind, [], or [O, 1], float64 */
  readonly centerRows: PerKind<Tensor>;
  /** how many rows Sinkhorn-Knopp balances */
  readonly targetRows: PerKind<number>;
  /** undefined when no loss reads [OBJ] */
  readonly presence: Presence | undefined;
  /** what every process said with its batch, in the order of ranks */
  readonly said: readonly (readonly number[])[];
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
  /** patches of each object, [V * B, O, N] bool; undefined when nobody asks for them, or a packing says so */
  readonly visible: Tensor | undefined;
  /** O */
  readonly objects: number;
  /** [V * B, N] bool; undefined when no loss reads hidden patches */
  readonly hidden: Tensor | undefined;
  readonly rows: TokenRows;
  /** the tokens that are computed; undefined: all */
  readonly packing: Packing | undefined;
  /** branches that the student drops */
  readonly drops: PassDrops | undefined;
}

/** Where the tokens of each kind are in tokens flattened to [V * B * T, D], or in those of the packing. */
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
  /** for each view [R'] int64: the rows whose object is there, of the rows of all processes one after the other */
  readonly perView: readonly Tensor[];
}

/**
 * Brings what the recipe reads of a batch to the device.
 *
 * @param say numbers that every process hears with it, as many from each
 */
export function upload(
  state: TrainState,
  batch: Batch,
  values: ScheduleValues,
  say: readonly number[] = [],
): DeviceBatch {
  const content = tidy(() => contentOf(state, batch, values, say));
  return {
    ...content,
    [Symbol.dispose]() {
      for (const tensor of tensorsOf(content)) tensor.free();
    },
  };
}

type Content = Omit<DeviceBatch, typeof Symbol.dispose>;

function contentOf(
  state: TrainState,
  own: Batch,
  { hidePatches, step }: ScheduleValues,
  say: readonly number[],
): Content {
  const { recipe, device, world } = state;
  const batch = hidePatches ? own : withoutHidden(own);
  const { size: B, objects: O, global } = batch;
  const kinds = kindsRead(recipe);
  const { everyone, said } = meet(state, batch, say);
  const pairs = pairsOf(state, batch, everyone);
  const pieces = piecesOf(recipe, world.size);
  const size = B / pieces;
  const microBatches = Array.from({ length: pieces }, (_, piece) => {
    const from = piece * size;
    return microBatch(state, imagesOf(batch, from, size), {
      images: { step, first: world.rank * B + from, images: size },
      pairs: pairsOfImages(pairs, { from, size, B }),
      B: B * world.size,
    });
  });
  return {
    keys: batch.keys,
    objects: O,
    globals: global.views,
    microBatches,
    pairs,
    ...rowCounts(state, batch, everyone),
    presence: kinds.includes("object") ? presenceOf(batch, everyone, device) : undefined,
    said,
  };
}

function withoutHidden(batch: Batch): Batch {
  return {
    ...batch,
    global: { ...batch.global, hidden: new Uint8Array(batch.global.hidden.length) },
  };
}

interface Piece {
  readonly images: Parameters<typeof drawDrops>[1];
  readonly pairs: PerKind<Tensor>;
  /** images of the step over all processes */
  readonly B: number;
}

function microBatch(
  { recipe, device, student }: TrainState,
  { size, objects: O, global, local }: Batch,
  { images, pairs, B }: Piece,
): MicroBatch {
  const { layout } = student.backbone;
  const { patch } = recipe.model;
  const kinds = kindsRead(recipe);
  const pooled = recipe.loss.objectFrom === "pooled";
  const bools = (bytes: Uint8Array, shape: readonly number[]): Tensor =>
    fromBuffer(bytes, shape, { dtype: "bool", device });
  const drops = drawDrops(recipe, images, [global.views, local.views], device);

  const wantsLocals = local.views > 0 && kinds.some((kind) => kind !== "patch");
  const [globals, locals] = viewImages(wantsLocals ? [global, local] : [global], size, device);

  const views = (
    { views: V, size: side, visible }: Batch["local"] | Batch["global"],
    images: Tensor,
    dropped: PassDrops | undefined,
    hidden?: { readonly bytes: Uint8Array; readonly rows: HiddenRows },
  ): DeviceViews => {
    const N = (side / patch) ** 2;
    const packed =
      visible && readsObjectsAlone(recipe) ? packObjects(layout, visible, N, device) : undefined;
    const patchRow =
      packed?.patchRow ??
      ((view: number, patchOf: number): number => layout.flatPatch(view, patchOf, N));
    const rowsOf: PerKind<readonly number[]> = {
      cls: layout.cls ? layout.flatCls(V * size, N) : [],
      object: pooled ? [] : (packed?.summaryRows ?? layout.flatObjects(V * size, N)),
      ...(hidden && {
        patch: Array.from(hidden.rows.view, (view, m) => patchRow(view, hidden.rows.patch[m]!)),
      }),
    };
    const read = kinds.flatMap((kind) => {
      // Pooled features are made of patches, not of rows of their own.
      const rows = kind === "object" && pooled ? undefined : rowsOf[kind];
      return rows ? [{ kind, rows }] : [];
    });
    return {
      images,
      visible:
        visible && !packed && (layout.objects > 0 || pooled)
          ? bools(visible, [V * size, O, N])
          : undefined,
      objects: O,
      hidden: hidden && bools(hidden.bytes, [V * size, N]),
      rows: {
        index: rowIndex(
          read.flatMap(({ rows }) => rows),
          device,
        ),
        kinds: read.map(({ kind, rows }) => ({ kind, count: rows.length })),
      },
      packing: packed?.packing,
      drops: dropped,
    };
  };

  const N = (global.size / patch) ** 2;
  const guesses = kinds.includes("patch");
  const hidden = hiddenRows(guesses ? global.hidden : new Uint8Array(), global.views * size, N);
  return {
    images: size,
    global: views(
      global,
      globals!,
      drops?.[0],
      guesses ? { bytes: global.hidden, rows: hidden } : undefined,
    ),
    local: locals && views(local, locals, drops?.[1]),
    pairs,
    hiddenWeights: fromBuffer(
      hidden.weight.map((one) => (one * size) / B),
      [hidden.view.length],
      { device },
    ),
  };
}

/** Weights of pairs of views for a process's images: [S, G, B], objects [S, G, B * O]. */
function pairsOf(
  { recipe, device, world }: TrainState,
  batch: Batch,
  everyone: readonly Facts[],
): PerKind<Tensor> {
  const { S, G, B, O } = viewShape(batch);
  const { pairMean } = recipe.loss;
  const everywhere = new Uint8Array(S * B).fill(1);
  const cls = { student: everywhere, teacher: everywhere.subarray(0, G * B) };
  const weights = (
    presence: Parameters<typeof pairWeights>[0],
    objects: number,
    existing: number,
  ): Tensor => {
    const all = { existing, images: B * world.size };
    const shape = { S, G, B, O: objects };
    return fromBuffer(pairWeights(presence, shape, pairMean, all), [S, G, B * objects], { device });
  };
  const kinds = kindsRead(recipe);
  return {
    ...(kinds.includes("cls") && { cls: weights(cls, 1, G * (S - 1) * B * world.size) }),
    ...(kinds.includes("object") && {
      object: weights(
        presenceInViews(batch),
        O,
        sum(everyone, ({ pairs }) => pairs),
      ),
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

/** How many rows of each kind move its centre, and how many are balanced. */
function rowCounts(
  { recipe, device, world }: TrainState,
  { size: B, objects: O, global: { views: G } }: Batch,
  everyone: readonly Facts[],
): Pick<DeviceBatch, "centerRows" | "targetRows"> {
  const { patchCenter, objectCenterRows, objectCenters } = recipe.loss;
  const each = objectCenters === "each";
  const hidden = sum(everyone, (facts) => facts.hidden);
  /** of token o, or of all */
  const present = (o?: number): number =>
    sum(everyone, (facts) =>
      count(facts.present.filter((_, row) => o === undefined || row % O === o)),
    );
  const images = G * B * world.size;
  const objects = (o?: number): number => {
    if (objectCenterRows === "present") return present(o);
    return o === undefined ? images * O : images;
  };
  const rows = {
    cls: [images],
    object: each ? Array.from({ length: O }, (_, o) => objects(o)) : [objects()],
    patch: [patchCenter === "all" ? world.size : hidden], // a mean of all patches from each process
  };
  const kinds = kindsRead(recipe);
  return {
    centerRows: Object.fromEntries(
      kinds.map((kind) => {
        const shape = kind === "object" && each ? [O, 1] : [];
        return [kind, fromBuffer(Float64Array.from(rows[kind]), shape, { device })];
      }),
    ),
    targetRows: { cls: images, object: present(), patch: hidden },
  };
}

function presenceOf(
  { global: { present, views: G }, size: B, objects: O }: Batch,
  everyone: readonly Facts[],
  device: string,
): Presence {
  const there = (flags: ArrayLike<number>): number[] =>
    Array.from(flags, (flag, row) => (flag ? row : -1)).filter((row) => row >= 0);
  const R = B * O;
  return {
    flags: fromBuffer(Float64Array.from(present), [G, R], { device }),
    rows: present.every((flag) => flag === 1) ? undefined : rowIndex(there(present), device),
    perView: Array.from({ length: G }, (_, view) =>
      rowIndex(
        there(everyone.flatMap((facts) => facts.present.slice(view * R, (view + 1) * R))),
        device,
      ),
    ),
  };
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);

/** Every tensor of a batch. */
export function tensorsOf(batch: Content): Iterable<Tensor> {
  return tensorsIn(batch);
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value))
    for (const item of Object.values(value)) yield* tensorsIn(item);
}
