import type { Batch } from "./batch.js";

/** Sizes of everything in a batch. */
export interface BatchShape {
  /** B, images */
  readonly images: number;
  /** G views of S × S pixels in N = (S / patch)² patches */
  readonly global: { readonly views: number; readonly size: number; readonly patches: number };
  /** L views of s × s pixels */
  readonly local: { readonly views: number; readonly size: number };
}

/** The arrays of one batch, all on one SharedArrayBuffer; rows are view-major (view * B + image). */
export interface Slot {
  /** [G, B], crops drawn */
  readonly tries: Uint16Array;
  readonly global: {
    /** [G, B, 3, S, S] */
    readonly pixels: Uint8Array;
    /** [G, B, N] */
    readonly visible: Uint8Array;
    /** [G, B, N] */
    readonly hidden: Uint8Array;
    /** [G, B] */
    readonly present: Uint8Array;
  };
  readonly local: {
    /** [L, B, 3, s, s] */
    readonly pixels: Uint8Array;
    /** [L, B] */
    readonly present: Uint8Array;
  };
}

/** Where the views of one image go. */
export interface ImageViews {
  readonly global: readonly Readonly<Record<"pixels" | "visible" | "hidden", Uint8Array>>[];
  readonly local: readonly { readonly pixels: Uint8Array }[];
}

/** Bytes of each array, in the order in which they lie in the buffer; `tries` first, for its alignment. */
function lengths({ images, global, local }: BatchShape) {
  const [globals, locals] = [global.views * images, local.views * images];
  return {
    tries: 2 * globals,
    globalPixels: globals * 3 * global.size ** 2,
    visible: globals * global.patches,
    hidden: globals * global.patches,
    globalPresent: globals,
    localPixels: locals * 3 * local.size ** 2,
    localPresent: locals,
  };
}

export function newSlotBuffer(shape: BatchShape): SharedArrayBuffer {
  const bytes = Object.values(lengths(shape)).reduce((sum, length) => sum + length, 0);
  return new SharedArrayBuffer(bytes);
}

export function slotOver(buffer: SharedArrayBuffer, shape: BatchShape): Slot {
  const length = lengths(shape);
  let offset = length.tries;
  const take = (bytes: number) => {
    offset += bytes;
    return new Uint8Array(buffer, offset - bytes, bytes);
  };
  return {
    tries: new Uint16Array(buffer, 0, length.tries / 2),
    global: {
      pixels: take(length.globalPixels),
      visible: take(length.visible),
      hidden: take(length.hidden),
      present: take(length.globalPresent),
    },
    local: { pixels: take(length.localPixels), present: take(length.localPresent) },
  };
}

/** The rows of one image in every array of a slot. */
export function viewsOfImage(slot: Slot, shape: BatchShape, image: number): ImageViews {
  const row = (array: Uint8Array, view: number, length: number) =>
    array.subarray(
      (view * shape.images + image) * length,
      (view * shape.images + image + 1) * length,
    );
  const { global, local } = shape;
  return {
    global: Array.from({ length: global.views }, (_, view) => ({
      pixels: row(slot.global.pixels, view, 3 * global.size ** 2),
      visible: row(slot.global.visible, view, global.patches),
      hidden: row(slot.global.hidden, view, global.patches),
    })),
    local: Array.from({ length: local.views }, (_, view) => ({
      pixels: row(slot.local.pixels, view, 3 * local.size ** 2),
    })),
  };
}

/** A batch over a filled slot; nothing is copied. */
export function batchOver(
  slot: Slot,
  shape: BatchShape,
  step: number,
  keys: readonly string[],
  skipped: Batch["stats"]["skipped"],
): Batch {
  const { images, global, local } = shape;
  const tries = Array.from({ length: global.views }, (_, view) => {
    const drawn = slot.tries.subarray(view * images, (view + 1) * images);
    return drawn.reduce((sum, count) => sum + count, 0) / images;
  });
  const { present } = slot.global;
  return {
    step,
    size: images,
    keys,
    global: { views: global.views, size: global.size, ...slot.global },
    local: { views: local.views, size: local.size, ...slot.local },
    stats: {
      tries,
      absent: 1 - present.reduce((sum, bit) => sum + bit, 0) / present.length,
      skipped,
    },
  };
}
