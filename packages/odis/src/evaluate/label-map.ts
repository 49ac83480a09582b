import { resampleNearest } from "../views/resample.js";
import type { FramedImage, FrameOptions } from "./frame.js";
import { frameBox } from "./frame.js";

/** In a label map: pixels that say nothing, because nobody knows what is there. */
export const ignored = -1;

/** Several readers look at one image while it is there. */
const maps = new WeakMap<FramedImage, Int16Array>();

/**
 * What each pixel of a framed image shows: 0 = background, c + 1 = an object of class c, `ignored` =
 * an object without a class. Larger objects are painted first, so that what stands in front of
 * something larger stays whole; of equally large ones the later stays on top. Every object counts,
 * also those that are too small to be an item of their own.
 *
 * @returns [size, size]
 */
export function labelMap(image: FramedImage, { frame, size }: FrameOptions): Int16Array {
  const known = maps.get(image);
  if (known) return known;
  const { sample } = image;
  const map = new Int16Array(size * size);
  const inside = new Uint8Array(size * size);
  const geometry = { box: frameBox(sample, frame), flip: false };
  for (const object of sample.objects.toSorted((a, b) => b.area - a.area)) {
    if (resampleNearest(object.pixels(), sample.width, geometry, size, inside) === 0) continue;
    const value = object.label < 0 ? ignored : object.label + 1;
    for (const [at, bit] of inside.entries()) if (bit) map[at] = value;
  }
  maps.set(image, map);
  return map;
}

/**
 * Shares of the classes in each patch's pixels, ignored ones left out: [N, classes], row by row of
 * the patch grid. A patch of ignored pixels only has zeros.
 *
 * @param map [size, size]
 */
export function patchShares(
  map: Int16Array,
  size: number,
  patch: number,
  classes: number,
): Float32Array {
  const side = size / patch;
  const shares = new Float32Array(side * side * classes);
  for (let y = 0, at = 0; y < size; y += 1)
    for (let x = 0; x < size; x += 1, at += 1) {
      const label = map[at]!;
      const cell = Math.floor(y / patch) * side + Math.floor(x / patch);
      if (label !== ignored) shares[cell * classes + label]! += 1;
    }
  for (let begin = 0; begin < shares.length; begin += classes) {
    const row = shares.subarray(begin, begin + classes);
    const known = row.reduce((sum, n) => sum + n, 0);
    if (known > 0) for (const c of row.keys()) row[c]! /= known;
  }
  return shares;
}

/** Pixels that prediction and truth agree on, and pixels that either of them has, per class. */
export interface IouCounts {
  readonly intersections: Int32Array;
  readonly unions: Int32Array;
}

/**
 * Counts of one picture, to be added up over pictures before they are divided (mmsegmentation's
 * `intersect_and_union`): ignored pixels of the truth count for nobody.
 *
 * @param predicted classes 0..classes - 1
 * @param truth of the same length; classes, or `skip`
 */
export function iouCounts(
  predicted: ArrayLike<number>,
  truth: ArrayLike<number>,
  classes: number,
  skip = ignored,
): IouCounts {
  const intersections = new Int32Array(classes);
  const unions = new Int32Array(classes);
  for (let at = 0; at < truth.length; at += 1) {
    const [wanted, got] = [truth[at]!, predicted[at]!];
    if (wanted === skip) continue;
    unions[wanted]! += 1;
    if (wanted === got) intersections[wanted]! += 1;
    else unions[got]! += 1;
  }
  return { intersections, unions };
}
