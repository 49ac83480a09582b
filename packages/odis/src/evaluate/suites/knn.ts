import { fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { ConfigError } from "../../core/index.js";
import type { FeatureSet } from "../../features/index.js";
import type { Measured } from "../outcome.js";

/** Feature vectors with one class each. */
export interface Labelled {
  /** [n, width], row-major; normalised here, so any length will do */
  readonly features: Float32Array;
  /** D */
  readonly width: number;
  /** [n], each 0..classes-1 */
  readonly labels: Int32Array;
}

/** The rows of a bank that are most like each query, best first. */
export interface Neighbours {
  /** how many per query; less than asked for when the bank is smaller */
  readonly k: number;
  /** [queries, k] rows of the bank */
  readonly rows: Int32Array;
  /** [queries, k] cosine similarities, -1..1 */
  readonly similarities: Float32Array;
}

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

/** Largest block of similarities or scores in memory: 64 MiB of float32. */
export const blockElements = 1 << 24;

/**
 * The k most similar rows of a bank by cosine, computed on the engine in blocks of queries.
 * Which of several equally similar rows comes first is up to the engine.
 */
export function nearest(
  bank: Labelled,
  queries: Pick<Labelled, "features" | "width">,
  k: number,
  device = "cpu",
): Neighbours {
  const n = bank.labels.length;
  const { width } = bank;
  const count = width > 0 ? queries.features.length / width : 0;
  if (n === 0) throw new ConfigError("k-NN: got an empty bank; wanted at least one labelled row");
  if (queries.width !== width)
    throw new Error(`internal: k-NN of width ${queries.width} against a bank of width ${width}`);
  const kept = Math.min(k, n);
  const rows = new Int32Array(count * kept);
  const similarities = new Float32Array(count * kept);
  const block = Math.max(1, Math.floor(blockElements / n));
  noGrad(() =>
    tidy(() => {
      const keys = unit(fromBuffer(bank.features, [n, width]).to({ device })).transpose(0, 1);
      for (let begin = 0; begin < count; begin += block) {
        const size = Math.min(block, count - begin);
        tidy(() => {
          const part = queries.features.subarray(begin * width, (begin + size) * width);
          const products = unit(fromBuffer(part, [size, width]).to({ device })).matmul(keys);
          const [best, at] = products.topk(kept, 1);
          similarities.set(best.toFloat32(), begin * kept);
          rows.set(at.to({ dtype: "int32" }).toNumbers(), begin * kept);
        });
      }
    }),
  );
  return { k: kept, rows, similarities };
}

/** [n, D] -> rows of unit length; a zero row stays zero. */
export function unit(rows: Tensor): Tensor {
  return rows.div(rows.norm(-1, 2, true).clampMin(1e-12));
}

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

/** Top-1 and top-5 for each k: `knn20/top1`, …; named by the k that was asked for. */
export function* knnShares(
  bank: FeatureSet,
  queries: FeatureSet,
  options: { readonly k: readonly number[]; readonly classes: number; readonly device: string },
): Iterable<Measured> {
  const neighbours = nearest(bank, queries, Math.max(...options.k), options.device);
  const images = queries.items.map(({ key }) => key);
  for (const k of options.k) {
    const result = classify(neighbours, bank.labels, queries.labels, options.classes, k);
    for (const top of ["top1", "top5"] as const)
      yield [`knn${k}/${top}`, { kind: "share", hits: result[top], images }];
  }
}
