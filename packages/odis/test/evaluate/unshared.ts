import type { SharedSet } from "../../src/evaluate/shares.js";
import type { FeatureSet } from "../../src/features/object-features.js";

/** What one process has read alone. */
export const unshared = (own: FeatureSet): SharedSet => ({
  own,
  first: 0,
  items: own.items,
  labels: own.labels,
});
