import { fromBuffer, type Tensor } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { type HiddenRows, hiddenRows } from "../loss/pairs.js";
import type { TokenKind } from "../model/head.js";
import { normalise } from "../model/pixels.js";
import type { TokenLayout } from "../model/tokens.js";
import { kindsRead } from "./combinations.js";
import type { Recipe } from "./recipe.js";

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
