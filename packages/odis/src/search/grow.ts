import { ConfigError } from "../core/index.js";
import type { Sample } from "../data/index.js";
import type { Teacher } from "../features/index.js";
import { objectFromPixels, type SceneObject } from "../objects/index.js";

/**
 * The thing at a point of a picture, by the features of its patches: those connected to the point's
 * that are more like it than not. A guess at the grain of patches, where no mask is at hand.
 *
 * @throws ConfigError when the point is outside of the picture
 */
export function grow(teacher: Teacher, sample: Sample, x: number, y: number): SceneObject {
  const { width, height } = sample;
  if (!(x >= 0 && y >= 0 && x < width && y < height))
    throw new ConfigError(
      `point ${x},${y}: is outside of the picture of ${width} × ${height} pixels`,
    );
  const likeness = patchLikeness(teacher, sample, x, y);
  const { side, start, similarities } = likeness;
  const inside = connected(similarities, side, start, otsu(similarities));
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1)
      pixels[row * width + column] = inside[cell(column, row, sample, side)]!;
  return objectFromPixels(pixels, sample);
}

export interface PatchLikeness {
  /** patches in a row of the square grid */
  readonly side: number;
  /** the patch at the point */
  readonly start: number;
  /** [side, side] cosines with it, -1..1 */
  readonly similarities: Float32Array;
  /** the vector of that patch: [width] */
  readonly vector: Float32Array;
}

/** How like each patch of a picture is to the one at a point. The whole picture is looked at. */
export function patchLikeness(
  teacher: Pick<Teacher, "patchFeatures" | "width">,
  sample: Sample,
  x: number,
  y: number,
): PatchLikeness {
  const features = teacher.patchFeatures(sample);
  const side = Math.round(Math.sqrt(features.length / teacher.width));
  const start = cell(x, y, sample, side);
  const vector = features.slice(start * teacher.width, (start + 1) * teacher.width);
  return { side, start, similarities: likenesses(features, vector), vector };
}

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

function cell(x: number, y: number, { width, height }: Sample, side: number): number {
  const column = Math.min(side - 1, Math.floor((x * side) / width));
  return Math.min(side - 1, Math.floor((y * side) / height)) * side + column;
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
