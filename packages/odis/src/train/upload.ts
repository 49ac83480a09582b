import { fromBuffer, type Tensor } from "@odis/torch";
import type { Batch } from "../batches/index.js";
import type { Pixels } from "../views/index.js";
import { type HiddenRows, hiddenRows } from "../loss/index.js";
import { normalise, type TokenKind, type TokenLayout } from "../model/index.js";
import { kindsRead, type Recipe } from "../recipe/index.js";

/** Views of one size on the device, and the rows of their tokens that losses read. */
export interface DeviceViews {
  readonly images: Tensor; // [V * B, 3, S, S]
  /** patches of each object, [V * B, O, N] bool; undefined when nobody asks for them */
  readonly visible: Tensor | undefined;
  /** O */
  readonly objects: number;
  /** [V * B, N] bool; undefined when nothing is hidden */
  readonly hidden: Tensor | undefined;
  readonly rows: TokenRows;
}

/** Where the tokens of each kind are in tokens flattened to [V * B * T, D]. */
export interface TokenRows {
  /** [R] int64: the rows of all kinds, in the order of `kinds` */
  readonly index: Tensor;
  readonly kinds: readonly { readonly kind: TokenKind; readonly count: number }[];
}

/** A batch on the device. */
export interface DeviceBatch {
  /** B */
  readonly images: number;
  readonly global: DeviceViews;
  readonly local: DeviceViews | undefined;
  readonly hiddenRows: HiddenRows;
}

/** Brings what the recipe reads of a batch to the device. */
export function upload(
  batch: Batch,
  layout: TokenLayout,
  recipe: Recipe,
  device: string,
): DeviceBatch {
  const { size: B, objects: O } = batch;
  const { patch } = recipe.model;
  const kinds = kindsRead(recipe);
  const pooled = recipe.loss.objectFrom === "pooled";
  const bools = (bytes: Uint8Array, shape: readonly number[]): Tensor =>
    fromBuffer(bytes, shape, { dtype: "bool" }).to({ device });

  const views = (
    { views: V, size, pixels, visible }: Batch["local"] | Batch["global"],
    hidden?: Uint8Array,
    hiddenPatches: readonly number[] = [],
  ): DeviceViews => {
    const N = (size / patch) ** 2;
    const rowsOf: Record<TokenKind, readonly number[]> = {
      cls: layout.cls ? layout.flatCls(V * B, N) : [],
      object: pooled ? [] : layout.flatObjects(V * B, N),
      patch: hiddenPatches,
    };
    const read = kinds
      .map((kind) => ({ kind, rows: rowsOf[kind] }))
      .filter(({ rows }) => rows.length > 0);
    const index = BigInt64Array.from(
      read.flatMap(({ rows }) => rows),
      BigInt,
    );
    return {
      images: normalise(pixels, [V * B, 3, size, size], device),
      visible:
        visible && (layout.objects > 0 || pooled) ? bools(visible, [V * B, O, N]) : undefined,
      objects: O,
      hidden: hidden && bools(hidden, [V * B, N]),
      rows: {
        index: fromBuffer(index, [index.length]).to({ device }),
        kinds: read.map(({ kind, rows }) => ({ kind, count: rows.length })),
      },
    };
  };

  const { global, local } = batch;
  const N = (global.size / patch) ** 2;
  const guessed = kinds.includes("patch") ? global.hidden : new Uint8Array(global.hidden.length);
  const hidden = hiddenRows(guessed, global.views * B, N);
  const places = Array.from(hidden.view, (view, m) => layout.flatPatch(view, hidden.patch[m]!, N));
  return {
    images: B,
    global: views(global, places.length > 0 ? guessed : undefined, places),
    local:
      local.views > 0 && (kinds.includes("cls") || kinds.includes("object"))
        ? views(local)
        : undefined,
    hiddenRows: hidden,
  };
}

/** Some images of a batch, and where they stand in it. */
export interface Part {
  readonly batch: Batch;
  /** number of its first image in the whole batch */
  readonly from: number;
}

/**
 * Cuts a batch into equal parts of images; one part is the batch itself, uncopied.
 *
 * @param count divides the batch
 */
export function partsOf(batch: Batch, count: number): readonly Part[] {
  if (count === 1) return [{ batch, from: 0 }];
  const size = batch.size / count;
  return Array.from({ length: count }, (_, part) => ({
    batch: imagesOf(batch, part * size, size),
    from: part * size,
  }));
}

function imagesOf(batch: Batch, from: number, size: number): Batch {
  const { global, local } = batch;
  // Rows are view-major: a part takes its images from every view.
  const cut = <T extends Pixels>(rows: T, views: number): T => {
    const length = views > 0 ? rows.length / views / batch.size : 0; // of one image in one view
    const out = rows.slice(0, views * size * length) as T;
    for (let view = 0; view < views; view += 1) {
      const begin = (view * batch.size + from) * length;
      out.set(rows.subarray(begin, begin + size * length), view * size * length);
    }
    return out;
  };
  return {
    ...batch,
    size,
    keys: batch.keys.slice(from, from + size),
    global: {
      ...global,
      pixels: cut(global.pixels, global.views),
      visible: cut(global.visible, global.views),
      hidden: cut(global.hidden, global.views),
      present: cut(global.present, global.views),
    },
    local: {
      ...local,
      pixels: cut(local.pixels, local.views),
      present: cut(local.present, local.views),
      ...(local.visible && { visible: cut(local.visible, local.views) }),
    },
  };
}

/** The part's share of numbers [..., B, O] that belong to the images of the whole batch. */
export function shareOf(
  whole: Float32Array,
  { batch: { size }, from }: Part,
  { B, O }: { readonly B: number; readonly O: number },
): Float32Array {
  if (size === B) return whole;
  const rows = whole.length / (B * O);
  const out = new Float32Array(rows * size * O);
  for (let row = 0; row < rows; row += 1)
    out.set(whole.subarray((row * B + from) * O, (row * B + from + size) * O), row * size * O);
  return out;
}
