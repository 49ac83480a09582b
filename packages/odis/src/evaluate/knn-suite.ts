import type { FeatureSet } from "./features.js";
import { classify, nearest } from "./knn.js";
import type { Measured } from "./outcome.js";

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
