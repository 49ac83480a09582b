import { readFileSync } from "node:fs";
import { z } from "zod";
import type { FeatureSet } from "../../../src/features/object-features.js";

const rows = z.object({ features: z.array(z.number()), labels: z.array(z.int()) });
const file = z.object({
  classes: z.int(),
  width: z.int(),
  bank: rows,
  queries: rows,
  centroid: z.object({ predictions: z.array(z.int()), top1: z.number() }),
  retrieval: z.object({
    precisions: z.array(z.number()),
    map: z.number(),
    firsts: z.array(z.int()),
  }),
  ties: z.array(
    z.object({ scores: z.array(z.int()), relevant: z.array(z.int()), precision: z.number() }),
  ),
  logistic: z.array(
    z.object({
      c: z.number(),
      weight: z.array(z.number()),
      predictions: z.array(z.int()),
      top1: z.number(),
      loss: z.number(),
    }),
  ),
  transfer: z.object({
    knn: z.record(z.string(), z.array(z.int())),
    logistic: z.record(z.string(), z.array(z.int())),
  }),
});

/** What scikit-learn found in some features (`test/fixtures/evaluation/make.py`). */
export const witness = file.parse(
  JSON.parse(
    readFileSync(
      new URL("../../fixtures/evaluation/scikit-learn.json", import.meta.url).pathname,
      "utf8",
    ),
  ),
);

/** Its features, each row an object of a picture of its own. */
export function witnessSet(of: "bank" | "queries"): FeatureSet {
  const { features, labels } = witness[of];
  return {
    features: Float32Array.from(features),
    width: witness.width,
    labels: Int32Array.from(labels),
    items: labels.map((_, row) => ({
      key: `${of} ${row}`,
      image: row,
      picture: row,
      object: 0,
      area: 1,
    })),
  };
}
