/**
 * Average precision of a ranking: the mean, over what is relevant, of the precision at the place
 * where it is found. Equal scores are found together, so that their order does not matter (as
 * scikit-learn's `average_precision_score`).
 *
 * @param scores [n], higher first
 * @param relevant [n], 1 = is to be found
 * @returns NaN when nothing is to be found
 */
export function averagePrecision(scores: Float32Array, relevant: Uint8Array): number {
  const found = scores
    .filter((_, at) => relevant[at] === 1)
    .toSorted()
    .toReversed(); // highest first
  // How many of all scores reach each of those, but not the one before it.
  const reached = new Int32Array(found.length + 1);
  for (const score of scores) reached[firstAtMost(found, score)]! += 1;
  let [sum, ranked] = [0, 0];
  for (let at = 0; at < found.length; ) {
    const begin = at;
    for (; at < found.length && found[at] === found[begin]; at += 1) ranked += reached[at]!;
    sum += ((at - begin) * at) / ranked;
  }
  return sum / found.length;
}

/** Index of the first of some descending scores that is not above another one. */
function firstAtMost(descendingScores: Float32Array, score: number): number {
  let [low, high] = [0, descendingScores.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (descendingScores[middle]! > score) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many scores are above the best of what is relevant. */
export function placeOfFirst(scores: Float32Array, relevant: Uint8Array): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < scores.length; at += 1)
    if (relevant[at] === 1 && scores[at]! > best) best = scores[at]!;
  let ahead = 0;
  for (const score of scores) if (score > best) ahead += 1;
  return ahead;
}

/** Indices of the scores, highest first; of equal ones the lower index. */
export function descending(scores: Float32Array): Int32Array {
  return Int32Array.from(scores.keys()).toSorted((a, b) => scores[b]! - scores[a]! || a - b);
}

/** How well one query of a landmark collection was answered. */
export interface LandmarkScore {
  readonly averagePrecision: number;
  /** among the first k, for each k */
  readonly precisions: readonly number[];
}

/**
 * The revisited Oxford and Paris protocol for one query (Radenović et al. 2018; iBOT
 * `utils.compute_map`): junk is taken out of the ranking; average precision is the area under the
 * precision-recall curve by trapezoids; precision at k counts no further than the last positive.
 *
 * @param order images by similarity, best first
 * @param at the ks
 * @returns undefined for a query without positives, which does not count
 */
export function landmarkScore(
  order: ArrayLike<number>,
  positives: ReadonlySet<number>,
  junk: ReadonlySet<number>,
  at: readonly number[],
): LandmarkScore | undefined {
  if (positives.size === 0) return undefined;
  const places: number[] = []; // of positives, counted from 0, without junk
  let place = 0;
  for (let rank = 0; rank < order.length; rank += 1) {
    if (junk.has(order[rank]!)) continue;
    if (positives.has(order[rank]!)) places.push(place);
    place += 1;
  }
  const area = places.reduce((sum, rank, hits) => {
    const before = rank === 0 ? 1 : hits / rank;
    return sum + (before + (hits + 1) / (rank + 1)) / 2;
  }, 0);
  const last = (places.at(-1) ?? 0) + 1;
  return {
    averagePrecision: area / positives.size,
    precisions: at.map((k) => {
      const depth = Math.min(k, last);
      return places.filter((rank) => rank < depth).length / depth;
    }),
  };
}
