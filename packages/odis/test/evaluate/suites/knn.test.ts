import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type Labelled, nearestRows } from "../../../src/evaluate/neighbours.js";
import { classify, votes } from "../../../src/evaluate/votes.js";
import { expectClose, golden } from "../../golden.js";

const reference = golden("knn");
const percent = z.object({
  num_classes_7: z.object({ top1: z.number(), top5: z.number() }),
  top5_only_classes_with_a_vote: z.number(),
});
const info = z.object({ results_percent: z.record(z.string(), percent) }).parse(reference.info);
const width = 16;
const classes = 7;
const bank: Labelled = {
  features: reference.floats("train_features"),
  width,
  labels: Int32Array.from(reference.integers("train_labels")),
};
const queries = {
  features: reference.floats("test_features"),
  width,
  labels: Int32Array.from(reference.integers("test_labels")),
};
const share = (hits: Uint8Array): number =>
  (100 * hits.reduce((sum, hit) => sum + hit, 0)) / hits.length;

describe("k-NN against the published code", () => {
  const neighbours = nearestRows(bank, queries, 20);

  it.each([1, 5, 10, 20])("k = %i: predictions and percentages", (k) => {
    const result = classify(neighbours, bank.labels, queries.labels, classes, k);
    expect([...result.predictions]).toEqual(reference.integers(`pred_k${k}`));
    const wanted = info.results_percent[`k${k}`]!;
    expect(share(result.top1)).toBeCloseTo(wanted.num_classes_7.top1, 6);
    expect(share(result.top5)).toBeCloseTo(wanted.top5_only_classes_with_a_vote, 6);
    if (k >= 10) expect(share(result.top5)).toBeCloseTo(wanted.num_classes_7.top5, 6);
  });

  it("finds the same neighbours in the same order", () => {
    const ten = nearestRows(bank, queries, 10);
    expect([...ten.rows]).toEqual(reference.integers("neighbors_k10"));
  });

  it("counts the same votes", () => {
    const ten = nearestRows(bank, queries, 10);
    const got = queries.labels.reduce<number[]>((all, _, query) => {
      const rows = ten.rows.subarray(query * 10, query * 10 + 10);
      const similar = ten.similarities.subarray(query * 10, query * 10 + 10);
      all.push(
        ...votes(
          rows.map((row) => bank.labels[row]!),
          similar,
          classes,
        ),
      );
      return all;
    }, []);
    expectClose(got, reference.floats("votes_k10"), { rtol: 1e-4, atol: 1e-4, what: "votes" });
  });

  it("does not depend on the length of the vectors", () => {
    const longer = { ...queries, features: queries.features.map((value) => 3 * value) };
    expect(nearestRows(bank, longer, 20).rows).toEqual(neighbours.rows);
  });
});

describe("k-NN by hand", () => {
  const compass: Labelled = {
    features: Float32Array.from([1, 0, 0, 1, -1, 0, 0, -1]), // east, north, west, south
    width: 2,
    labels: Int32Array.from([2, 1, 0, 0]),
  };
  const northEast = { features: Float32Array.from([1, 1]), width: 2 };

  it("votes exp(similarity / 0.07)", () => {
    expectClose(votes([1, 0, 1], [0.07, 0, 0.14], 3), [1, Math.E + Math.E ** 2, 0]);
  });

  it("gives equal votes to the lower class, and no rank to a class without a vote", () => {
    const found = nearestRows(compass, northEast, 2);
    expect([...found.rows].toSorted((a, b) => a - b)).toEqual([0, 1]);
    const asIf = (label: number) => classify(found, compass.labels, Int32Array.from([label]), 3, 2);
    expect([...asIf(1).predictions]).toEqual([1]);
    expect([asIf(1).top1[0], asIf(2).top1[0], asIf(2).top5[0]]).toEqual([1, 0, 1]);
    expect(asIf(0).top5[0]).toBe(0);
  });

  it("takes the whole bank when k is larger, and says so", () => {
    const found = nearestRows(compass, northEast, 200);
    expect(found.k).toBe(4);
    expect(classify(found, compass.labels, Int32Array.from([2]), 3, 200).k).toBe(4);
  });

  it("refuses an empty bank in a sentence", () => {
    const empty = { features: new Float32Array(), width: 2, labels: new Int32Array() };
    expect(() => nearestRows(empty, northEast, 1)).toThrow(
      "k-NN: got an empty bank; wanted at least one labelled row",
    );
  });
});
