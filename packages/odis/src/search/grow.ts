import { ConfigError } from "../core/index.js";
import type { Sample } from "../data/index.js";
import type { PatchGrid, Teacher } from "../features/index.js";
import { objectFromPixels, type SceneObject } from "../objects/index.js";

/**
 * The thing at a point of a picture, by the features of its patches: those connected to the point's
 * that are more like it than not. A guess at the grain of patches, where no mask is at hand.
 *
 * @throws ConfigError when the point is outside of the picture
 */
export function grow(
  teacher: Pick<Teacher, "patchFeatures" | "width" | "grid">,
  sample: Sample,
  x: number,
  y: number,
): SceneObject {
  const { width, height } = sample;
  if (!(x >= 0 && y >= 0 && x < width && y < height))
    throw new ConfigError(
      `point ${x},${y}: is outside of the picture of ${width} × ${height} pixels`,
    );
  const grid = teacher.grid(sample);
  const features = teacher.patchFeatures(sample);
  const start = patchAt(grid, x, y);
  const similarities = likenesses(features, rowOf(features, teacher.width, start));
  const inside = connected(similarities, grid.side, start, otsu(similarities));
  const pixels = new Uint8Array(width * height);
  const { box } = grid;
  for (let row = box.y; row < box.y + box.height; row += 1)
    for (let column = box.x; column < box.x + box.width; column += 1)
      pixels[row * width + column] = inside[patchAt(grid, column, row)]!;
  return objectFromPixels(pixels, sample);
}

/** Row of the patch that a pixel of a picture is in; of one outside of the frame, the nearest. */
export function patchAt({ side, box }: PatchGrid, x: number, y: number): number {
  const cell = (at: number, from: number, length: number): number =>
    Math.max(0, Math.min(side - 1, Math.floor(((at - from) * side) / length)));
  return cell(y, box.y, box.height) * side + cell(x, box.x, box.width);
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
