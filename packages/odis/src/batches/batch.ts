import {
  carriedPicture,
  carriedPlan,
  FRAME_NUMBERS,
  type Pixels,
  PLAN_NUMBERS,
  type UndrawnViews,
} from "../views/index.js";

/** A batch in host memory. Rows are view-major: index = view * B + image. */
export interface Batch {
  /** step of the run that this batch belongs to, from 0 */
  readonly step: number;
  /** B, images */
  readonly size: number;
  /** O, rows for objects that every image has; one with fewer leaves its last rows empty */
  readonly objects: number;
  /** names of the images, in batch order */
  readonly keys: readonly string[];
  readonly global: GlobalViews;
  readonly local: LocalViews;
  readonly stats: BatchStats;
}

/** Large views: teacher and student see them. */
export interface GlobalViews {
  /** G */
  readonly views: number;
  /** side S, pixels */
  readonly size: number;
  /** [G, B, 3, S, S], or what the device draws them from (`views.drawnBy`) */
  readonly pixels: Pixels | UndrawnViews;
  /** [G, B, O, N], 1 = the patch belongs to the object: its [OBJ] may look at it */
  readonly visible: Uint8Array;
  /** [G, B, N], 1 = the student must guess the patch */
  readonly hidden: Uint8Array;
  /** [G, B, O], 1 = the object is in the view */
  readonly present: Uint8Array;
}

/** Small views: students only. */
export interface LocalViews {
  /** L, may be 0 */
  readonly views: number;
  /** side s, pixels */
  readonly size: number;
  /** [L, B, 3, s, s], or what the device draws them from */
  readonly pixels: Pixels | UndrawnViews;
  /** [L, B, O, n], as in global views; undefined unless `views.locals.masked` */
  readonly visible?: Uint8Array;
  /**
   * [L, B, O], 1 = counts as showing the object: every view for every object that there is, unless
   * `views.locals` says `masked` or `aware`; then 1 = the object is in the view
   */
  readonly present: Uint8Array;
}

export interface BatchStats {
  /** objects that there are, each once a global view; an image without any counts as one */
  readonly wanted: number;
  /** crops drawn per global view, mean over the batch: [G] */
  readonly tries: readonly number[];
  /**
   * share of (global view, object) in which the object is not present, 0..1, over the objects that
   * there are; an image without any counts as one that is never present
   */
  readonly absent: number;
  /** images that could not be used; each was replaced by another */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
}

/** Sizes of everything in a batch. */
export interface BatchShape {
  /** B, images */
  readonly images: number;
  /** O, rows for the objects of an image */
  readonly objects: number;
  /** G views of S × S pixels in N = (S / patch)² patches */
  readonly global: { readonly views: number; readonly size: number; readonly patches: number };
  /** L views of s × s pixels in n patches; `patches` is 0 where nobody asks which are visible */
  readonly local: { readonly views: number; readonly size: number; readonly patches: number };
  /** bytes for a picture where the device draws the views; 0 where workers do */
  readonly room: number;
}

/** The arrays of one batch, all on one SharedArrayBuffer; rows are view-major (view * B + image). */
export interface Slot {
  /** what the device draws views from; empty where workers draw them */
  readonly undrawn: {
    /** [B, room] */
    readonly pictures: Uint8Array;
    /** [B, FRAME_NUMBERS] */
    readonly frames: Int32Array;
    /** [G + L, B, PLAN_NUMBERS] */
    readonly plans: Float64Array;
  };
  /** [G, B], crops drawn */
  readonly tries: Uint16Array;
  /** [B], objects that the views of the image are about */
  readonly chosen: Uint8Array;
  readonly global: {
    /** [G, B, 3, S, S]; empty where the device draws */
    readonly pixels: Uint8Array;
    /** [G, B, O, N] */
    readonly visible: Uint8Array;
    /** [G, B, N] */
    readonly hidden: Uint8Array;
    /** [G, B, O] */
    readonly present: Uint8Array;
  };
  readonly local: {
    /** [L, B, 3, s, s]; empty where the device draws */
    readonly pixels: Uint8Array;
    /** [L, B, O, n], if asked for */
    readonly visible?: Uint8Array;
    /** [L, B, O] */
    readonly present: Uint8Array;
  };
}

/** Where a view of one image goes: its rows in the arrays of a slot. */
export interface ViewRows {
  readonly pixels: Uint8Array;
  readonly present: Uint8Array;
}

/** Where the views of one image go, or its picture and their plans. */
export interface ImageViews {
  readonly undrawn: {
    readonly picture: Uint8Array;
    readonly frame: Int32Array;
    /** of global views, then of local ones */
    readonly plans: readonly Float64Array[];
  };
  readonly global: readonly (ViewRows & Readonly<Record<"visible" | "hidden", Uint8Array>>)[];
  readonly local: readonly (ViewRows & { readonly visible?: Uint8Array })[];
}

/** Bytes of each array, in the order in which they lie in the buffer; large numbers first, for their alignment. */
function lengths({ images, objects, global, local, room }: BatchShape) {
  const [globals, locals] = [global.views * images, local.views * images];
  const [drawn, undrawn] = [Number(room === 0), Number(room > 0)];
  return {
    plans: undrawn * 8 * PLAN_NUMBERS * (globals + locals),
    frames: undrawn * 4 * FRAME_NUMBERS * images,
    tries: 2 * globals,
    pictures: room * images,
    chosen: images,
    globalPixels: drawn * globals * 3 * global.size ** 2,
    globalVisible: globals * objects * global.patches,
    hidden: globals * global.patches,
    globalPresent: globals * objects,
    localPixels: drawn * locals * 3 * local.size ** 2,
    localVisible: locals * objects * local.patches,
    localPresent: locals * objects,
  };
}

export function newSlotBuffer(shape: BatchShape): SharedArrayBuffer {
  const bytes = Object.values(lengths(shape)).reduce((sum, length) => sum + length, 0);
  return new SharedArrayBuffer(bytes);
}

export function slotOver(buffer: SharedArrayBuffer, shape: BatchShape): Slot {
  const length = lengths(shape);
  let offset = 0;
  const place = (bytes: number) => (offset += bytes) - bytes;
  const take = (bytes: number) => new Uint8Array(buffer, place(bytes), bytes);
  const plans = new Float64Array(buffer, place(length.plans), length.plans / 8);
  const frames = new Int32Array(buffer, place(length.frames), length.frames / 4);
  const tries = new Uint16Array(buffer, place(length.tries), length.tries / 2);
  return {
    tries,
    undrawn: { plans, frames, pictures: take(length.pictures) },
    chosen: take(length.chosen),
    global: {
      pixels: take(length.globalPixels),
      visible: take(length.globalVisible),
      hidden: take(length.hidden),
      present: take(length.globalPresent),
    },
    local: {
      pixels: take(length.localPixels),
      ...(shape.local.patches > 0 ? { visible: take(length.localVisible) } : {}),
      present: take(length.localPresent),
    },
  };
}

type Rows = Uint8Array | Int32Array | Float64Array;

const rowOf = <T extends Rows>(rows: T, at: number, length: number): T =>
  rows.subarray(at * length, (at + 1) * length) as T;

/** The rows of one image in every array of a slot. */
export function viewsOfImage(slot: Slot, shape: BatchShape, image: number): ImageViews {
  const { images, objects, global, local, room } = shape;
  const row = <T extends Rows>(array: T, view: number, length: number) =>
    rowOf(array, view * images + image, length);
  const drawn = Number(room === 0);
  const planned = room > 0 ? global.views + local.views : 0;
  const { pictures, frames, plans } = slot.undrawn;
  return {
    undrawn: {
      picture: rowOf(pictures, image, room),
      frame: rowOf(frames, image, FRAME_NUMBERS),
      plans: Array.from({ length: planned }, (_, view) => row(plans, view, PLAN_NUMBERS)),
    },
    global: Array.from({ length: global.views }, (_, view) => ({
      pixels: row(slot.global.pixels, view, drawn * 3 * global.size ** 2),
      visible: row(slot.global.visible, view, objects * global.patches),
      hidden: row(slot.global.hidden, view, global.patches),
      present: row(slot.global.present, view, objects),
    })),
    local: Array.from({ length: local.views }, (_, view) => ({
      pixels: row(slot.local.pixels, view, drawn * 3 * local.size ** 2),
      ...(slot.local.visible
        ? { visible: row(slot.local.visible, view, objects * local.patches) }
        : {}),
      present: row(slot.local.present, view, objects),
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
  const { images, objects, global, local } = shape;
  const tries = Array.from({ length: global.views }, (_, view) => {
    const drawn = slot.tries.subarray(view * images, (view + 1) * images);
    return drawn.reduce((sum, count) => sum + count, 0) / images;
  });
  const present = slot.global.present.reduce((sum, bit) => sum + bit, 0);
  const wanted = slot.chosen.reduce((sum, count) => sum + Math.max(1, count), 0) * global.views;
  return {
    step,
    size: images,
    objects,
    keys,
    global: {
      views: global.views,
      size: global.size,
      ...slot.global,
      ...undrawnViews(slot, shape, 0, global.views),
    },
    local: {
      views: local.views,
      size: local.size,
      ...slot.local,
      ...undrawnViews(slot, shape, global.views, local.views),
    },
    stats: { tries, wanted, absent: 1 - present / wanted, skipped },
  };
}

/** What the device draws some views from, in place of their pixels. */
function undrawnViews(
  { undrawn: { pictures, frames, plans } }: Slot,
  { images, room }: BatchShape,
  from: number,
  views: number,
): { readonly pixels?: UndrawnViews } {
  if (room === 0) return {};
  const at = <T>(count: number, make: (index: number) => T) =>
    Array.from({ length: count }, (_, index) => make(index));
  return {
    pixels: {
      pictures: at(images, (image) =>
        carriedPicture(rowOf(pictures, image, room), rowOf(frames, image, FRAME_NUMBERS)),
      ),
      plans: at(views * images, (view) =>
        carriedPlan(rowOf(plans, from * images + view, PLAN_NUMBERS)),
      ),
    },
  };
}

/**
 * Some consecutive images of a batch, as a batch of their own; the whole batch is itself, uncopied.
 *
 * @param from number of the first image in the batch
 */
export function imagesOf(batch: Batch, from: number, size: number): Batch {
  if (size === batch.size) return batch;
  const { global, local } = batch;
  // Rows are view-major: the images are taken from every view.
  const cut = <T extends Pixels>(rows: T, views: number): T => {
    const length = views > 0 ? rows.length / views / batch.size : 0; // of one image in one view
    const out = rows.slice(0, views * size * length) as T;
    for (let view = 0; view < views; view += 1) {
      const begin = (view * batch.size + from) * length;
      out.set(rows.subarray(begin, begin + size * length), view * size * length);
    }
    return out;
  };
  const cutPixels = (pixels: Pixels | UndrawnViews, views: number): Pixels | UndrawnViews =>
    "plans" in pixels
      ? {
          pictures: pixels.pictures.slice(from, from + size),
          plans: Array.from(
            { length: views * size },
            (_, at) => pixels.plans[Math.floor(at / size) * batch.size + from + (at % size)]!,
          ),
        }
      : cut(pixels, views);
  return {
    ...batch,
    size,
    keys: batch.keys.slice(from, from + size),
    global: {
      ...global,
      pixels: cutPixels(global.pixels, global.views),
      visible: cut(global.visible, global.views),
      hidden: cut(global.hidden, global.views),
      present: cut(global.present, global.views),
    },
    local: {
      ...local,
      pixels: cutPixels(local.pixels, local.views),
      present: cut(local.present, local.views),
      ...(local.visible && { visible: cut(local.visible, local.views) }),
    },
  };
}
