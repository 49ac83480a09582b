import type { Neighbours } from "./neighbours.js";
import { imageNames, type Measured } from "./outcome.js";
import { joined, type SharedSet, sharedNearest, type Sharing } from "./shares.js";

/** The vote of the k nearest neighbours, for one k. */
export interface KnnResult {
  readonly k: number;
  /** [queries] classes */
  readonly predictions: Int32Array;
  /** [queries] 1 = the true class had the largest vote */
  readonly top1: Uint8Array;
  /** [queries] 1 = the true class was among the five largest votes */
  readonly top5: Uint8Array;
}

/** The published protocol's temperature; its authors never tuned it. */
export const voteTemperature = 0.07;

/**
 * Votes of one query's neighbours: exp(similarity / temperature), summed per class (DINO
 * `eval_knn.py`; DINO paper appendix F).
 *
 * @returns [classes]
 */
export function votes(
  labels: ArrayLike<number>,
  similarities: ArrayLike<number>,
  classes: number,
  temperature = voteTemperature,
): Float64Array {
  const sums = new Float64Array(classes);
  for (let i = 0; i < labels.length; i += 1)
    sums[labels[i]!]! += Math.exp(similarities[i]! / temperature);
  return sums;
}

/**
 * Weighted k-nearest-neighbour classification.
 *
 * Ties: of equal votes the class with the lower number comes first. A class without a vote is
 * never among the top five; where fewer than five classes have votes the published code fills up
 * with arbitrary ones, so top-5 at small k is not comparable with it (top-1 always is).
 *
 * @param truth [queries] classes
 * @param k neighbours that vote, at most as many as `neighbours` holds
 */
export function classify(
  neighbours: Neighbours,
  bankLabels: Int32Array,
  truth: Int32Array,
  classes: number,
  k: number,
): KnnResult {
  const used = Math.min(k, neighbours.k);
  const predictions = new Int32Array(truth.length);
  const top1 = new Uint8Array(truth.length);
  const top5 = new Uint8Array(truth.length);
  for (const [query, label] of truth.entries()) {
    const begin = query * neighbours.k;
    const rows = neighbours.rows.subarray(begin, begin + used);
    const sums = votes(
      rows.map((row) => bankLabels[row]!),
      neighbours.similarities.subarray(begin, begin + used),
      classes,
    );
    predictions[query] = sums.reduce((best, sum, c) => (sum > sums[best]! ? c : best), 0);
    const voted = sums[label]! > 0;
    const ahead = classesAhead(sums, label);
    top1[query] = Number(voted && ahead < 1);
    top5[query] = Number(voted && ahead < 5);
  }
  return { k: used, predictions, top1, top5 };
}

/** How many classes score higher than this one, or the same under a lower number. */
export function classesAhead(scores: Float32Array | Float64Array, label: number): number {
  const mine = scores[label]!;
  let ahead = 0;
  for (let c = 0; c < scores.length; c += 1)
    if (scores[c]! > mine || (scores[c] === mine && c < label)) ahead += 1;
  return ahead;
}

/**
 * Top-1 and top-5 for each k: `knn20/top1`, …; named by the k that was asked for. Each process finds the
 * neighbours of its own queries.
 */
export function* knnShares(
  bank: SharedSet,
  queries: SharedSet,
  options: Sharing & { readonly k: readonly number[]; readonly classes: number },
): Iterable<Measured> {
  const neighbours = sharedNearest(bank, queries.own, Math.max(...options.k), options);
  const images = imageNames(queries.items);
  for (const k of options.k) {
    const result = classify(neighbours, bank.labels, queries.own.labels, options.classes, k);
    for (const top of ["top1", "top5"] as const)
      yield [`knn${k}/${top}`, { kind: "share", hits: joined(options.world, result[top]), images }];
  }
}
