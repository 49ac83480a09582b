import { Rng } from "../rng.js";

/** A share with its 95 % confidence interval, all 0..1. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** observations */
  readonly n: number;
}

const draws = 1000;

/**
 * Share of hits with a percentile bootstrap interval over groups: objects of one image succeed and
 * fail together, so whole images are drawn, not objects.
 *
 * @param hits 0/1 per observation
 * @param groups of the same length: which image an observation belongs to
 * @param seed the same seed draws the same images
 */
export function clusteredShare(
  hits: ArrayLike<number>,
  groups: ArrayLike<number>,
  seed: number,
): Estimate {
  const n = hits.length;
  if (n === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN, n };
  const sums = new Map<number, { hits: number; size: number }>();
  let total = 0;
  for (let i = 0; i < n; i += 1) {
    const group = sums.get(groups[i]!) ?? { hits: 0, size: 0 };
    group.hits += hits[i]!;
    group.size += 1;
    sums.set(groups[i]!, group);
    total += hits[i]!;
  }
  const clusters = [...sums.values()];
  const rng = new Rng("bootstrap", seed);
  const shares = Float64Array.from({ length: draws }, () => {
    let drawnHits = 0;
    let drawnSize = 0;
    for (let i = 0; i < clusters.length; i += 1) {
      const drawn = clusters[rng.int(0, clusters.length - 1)]!;
      drawnHits += drawn.hits;
      drawnSize += drawn.size;
    }
    return drawnHits / drawnSize;
  }).toSorted();
  return { value: total / n, low: quantile(shares, 0.025), high: quantile(shares, 0.975), n };
}

/** Linear interpolation between the two nearest of the sorted values. */
function quantile(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const next = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return sorted[below]! + (at - below) * (next - sorted[below]!);
}
