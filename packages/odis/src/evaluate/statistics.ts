import { quantileSorted } from "d3-array";
import { Rng } from "../core/index.js";
import { imageCounts, type Outcome, score } from "./outcome.js";

/** A share 0..1, another mean of shares, or an R² of at most 1, with its 95 % confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** observations */
  readonly n: number;
  /** images that they are of; earlier releases did not say */
  readonly images?: number | undefined;
}

const draws = 1000;

/**
 * What was measured, with a percentile bootstrap interval over images: objects of one image succeed
 * and fail together, so whole images are drawn, not objects.
 *
 * @param seed the same seed draws the same images
 */
export function estimate(outcome: Outcome, seed: number): Estimate {
  const { images, width, sums, n } = imageCounts(outcome);
  if (n === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN, n, images: 0 };
  const values = resampled(images.length, seed, (weights) =>
    score(outcome.kind, weightedSum(sums, width, weights)),
  );
  const value = score(outcome.kind, weightedSum(sums, width));
  return { value, ...limits(values), n, images: images.length };
}

/** a - b with its 95 % interval. */
export interface Difference {
  /** -1..1, above 0 where `a` is better */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** images that both measured; the others are left out */
  readonly images: number;
}

/**
 * The difference of two measurements of the same images, with a percentile bootstrap interval:
 * each draw of images is given to both, so what makes an image hard for both cancels out.
 *
 * @returns NaNs when no image was measured by both
 */
export function pairedDifference(a: Outcome, b: Outcome, seed = 0): Difference {
  if (a.kind !== b.kind) throw new Error(`internal: a difference of ${a.kind} and ${b.kind}`);
  const [of, from] = [imageCounts(a), imageCounts(b)];
  const rowsOfB = new Map(from.images.map((image, row) => [image, row]));
  const rows = of.images.flatMap((image, row) => {
    const other = rowsOfB.get(image);
    return other === undefined ? [] : [[row, other] as const];
  });
  const images = rows.length;
  if (images === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN, images };
  const { width } = of;
  const sumsA = pickRows(
    of.sums,
    width,
    rows.map(([row]) => row),
  );
  const sumsB = pickRows(
    from.sums,
    width,
    rows.map(([, row]) => row),
  );
  const difference = (weights?: Uint8Array): number =>
    score(a.kind, weightedSum(sumsA, width, weights)) -
    score(a.kind, weightedSum(sumsB, width, weights));
  return { value: difference(), ...limits(resampled(images, seed, difference)), images };
}

let drawn: { readonly images: number; readonly seed: number; readonly weights: Uint8Array[] };

/**
 * How often each image is drawn in each bootstrap sample, [draws][images]: as many draws with
 * replacement as there are images. Measurements of the same images share them.
 */
export function imageDraws(images: number, seed: number): readonly Uint8Array[] {
  if (drawn?.images !== images || drawn.seed !== seed) {
    const rng = new Rng("bootstrap", seed);
    const weights = Array.from({ length: draws }, () => {
      const times = new Uint8Array(images);
      for (let i = 0; i < images; i += 1) times[rng.int(0, images - 1)]! += 1;
      return times;
    });
    drawn = { images, seed, weights };
  }
  return drawn.weights;
}

/** A statistic of each bootstrap sample. */
function resampled(
  images: number,
  seed: number,
  statistic: (weights: Uint8Array) => number,
): readonly number[] {
  return imageDraws(images, seed).map(statistic);
}

/** @param sums [rows, width]; without weights each row counts once */
export function weightedSum(sums: Float64Array, width: number, weights?: Uint8Array): Float64Array {
  const total = new Float64Array(width);
  for (let row = 0, at = 0; at < sums.length; row += 1) {
    const weight = weights ? weights[row]! : 1;
    if (weight === 0) at += width;
    else for (let i = 0; i < width; i += 1, at += 1) total[i]! += weight * sums[at]!;
  }
  return total;
}

function pickRows(sums: Float64Array, width: number, rows: readonly number[]): Float64Array {
  const picked = new Float64Array(rows.length * width);
  for (const [to, row] of rows.entries())
    picked.set(sums.subarray(row * width, (row + 1) * width), to * width);
  return picked;
}

/** The middle 95 % of the samples; NaNs, which no draw can tell, are left out. */
export function limits(samples: readonly number[]): {
  readonly low: number;
  readonly high: number;
} {
  const sorted = samples.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  const end = (share: number): number => quantileSorted(sorted, share) ?? Number.NaN;
  return { low: end(0.025), high: end(0.975) };
}
