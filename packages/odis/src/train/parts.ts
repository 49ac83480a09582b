import type { Batch, Pixels } from "../data/batch.js";

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
