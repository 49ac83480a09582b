import { type Box, type PatchGrid, patchAt, type Size } from "./geometry.js";
import type { PatchValues } from "./wire.js";

/** A point is not in its picture. */
export class OutsidePicture extends Error {}

/**
 * The thing at a point of a picture, by the features of its patches: those connected to the patch there
 * that are more like it than not. A guess at the grain of patches, where no mask is at hand.
 *
 * @param features [side × side, width] of the grid, row by row
 * @returns [height × width] of the picture, 0 or 1
 * @throws OutsidePicture
 */
export function grownMask(
  features: Float32Array,
  grid: PatchGrid,
  [x, y]: readonly [x: number, y: number],
  size: Size,
): Uint8Array {
  if (!(x >= 0 && y >= 0 && x < size.width && y < size.height))
    throw new OutsidePicture(
      `point ${x},${y}: is outside of the picture of ${size.width} × ${size.height} pixels`,
    );
  const width = features.length / grid.side ** 2;
  const start = patchAt(grid, x, y);
  const similarities = likenesses(features, rowOf(features, width, start));
  return patchesMask(connected(similarities, grid.side, start, otsu(similarities)), grid, size);
}

/**
 * How like the patches of a picture are to a vector [width], for people to see.
 *
 * @param features [side × side, width]
 */
export function patchValues(
  features: Float32Array,
  vector: Float32Array,
  { side, box: { x, y, width, height } }: PatchGrid,
): PatchValues {
  const values = Array.from(likenesses(features, vector), (value) => Math.round(100 * value));
  return { side, region: [x, y, width, height], values };
}

/** Pixels of a picture that are in some patches of a grid on it: [height × width], 0 or 1. */
function patchesMask(inside: Uint8Array, grid: PatchGrid, { width, height }: Size): Uint8Array {
  const pixels = new Uint8Array(width * height);
  const { x, y, width: columns, height: rows }: Box = grid.box;
  for (let row = y; row < y + rows; row += 1)
    for (let column = x; column < x + columns; column += 1)
      pixels[row * width + column] = inside[patchAt(grid, column, row)]!;
  return pixels;
}

/** One row of rows [n, width] */
export const rowOf = (rows: Float32Array, width: number, row: number): Float32Array =>
  rows.slice(row * width, (row + 1) * width);

/** @returns the cosine of each row [n, width] with a vector [width] */
export function likenesses(features: Float32Array, vector: Float32Array): Float32Array {
  const width = vector.length;
  const length = Math.hypot(...vector);
  return Float32Array.from({ length: features.length / width }, (_, row) => {
    let [dot, square] = [0, 0];
    for (let at = 0; at < width; at += 1) {
      const value = features[row * width + at]!;
      dot += value * vector[at]!;
      square += value * value;
    }
    return dot / Math.max(1e-12, length * Math.sqrt(square));
  });
}

/** The threshold that parts values into two groups least spread in themselves (Otsu 1979). */
function otsu(values: Float32Array): number {
  const sorted = values.toSorted();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  let [best, most, low] = [sorted[0]!, -1, 0];
  for (let at = 1; at < sorted.length; at += 1) {
    low += sorted[at - 1]!;
    const rest = sorted.length - at;
    const between = at * rest * (low / at - (total - low) / rest) ** 2;
    if (between > most) [best, most] = [sorted[at]!, between];
  }
  return best;
}

/** Cells of at least a value that hang together with one of them, by their sides: [side, side], 0 or 1. */
function connected(values: Float32Array, side: number, start: number, least: number): Uint8Array {
  const inside = new Uint8Array(values.length);
  const waiting = [start];
  inside[start] = 1;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const [row, column] = [Math.floor(at / side), at % side];
    const near = [
      ...(row > 0 ? [at - side] : []),
      ...(row + 1 < side ? [at + side] : []),
      ...(column > 0 ? [at - 1] : []),
      ...(column + 1 < side ? [at + 1] : []),
    ];
    for (const next of near) {
      if (inside[next] === 1 || values[next]! < least) continue;
      inside[next] = 1;
      waiting.push(next);
    }
  }
  return inside;
}
