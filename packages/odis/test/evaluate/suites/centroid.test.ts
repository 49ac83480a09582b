import { liveTensors } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { centroidShares } from "../../../src/evaluate/suites/centroid.js";
import type { Measured } from "../../../src/evaluate/outcome.js";
import { unshared } from "../unshared.js";
import type { FeatureSet } from "../../../src/features/object-features.js";
import { World } from "../../../src/train/world.js";
import { witness, witnessSet } from "./witness.js";

const hits = ([, outcome]: Measured): number[] =>
  outcome.kind === "share" ? [...outcome.hits] : [];

const shares = (bank: FeatureSet): readonly Measured[] =>
  centroidShares(unshared(bank), unshared(witnessSet("queries")), witness.classes, {
    world: World.alone,
    device: "cpu",
  });

describe("nearest class mean", () => {
  it("is right where scikit-learn's is, item by item", () => {
    const before = liveTensors();
    const [top1, top5] = shares(witnessSet("bank"));
    const { labels } = witness.queries;
    const { predictions } = witness.centroid;
    expect([top1![0], top5![0]]).toEqual(["centroid/top1", "centroid/top5"]);
    expect(hits(top1!)).toEqual(labels.map((label, row) => Number(label === predictions[row])));
    expect(hits(top1!).reduce((sum, hit) => sum + hit) / labels.length).toBeCloseTo(
      witness.centroid.top1,
      12,
    );
    expect(hits(top5!)).toEqual(labels.map(() => 1)); // there are five classes
    expect(liveTensors()).toBe(before);
  });

  it("never answers with a class that the bank does not have", () => {
    const bank = witnessSet("bank");
    const kept = { ...bank, labels: bank.labels.map((label) => (label === 2 ? 1 : label)) };
    const [top1, top5] = shares(kept);
    for (const [row, label] of witness.queries.labels.entries())
      expect(hits(top5!)[row]).toBe(Number(label !== 2));
    expect(hits(top1!).filter((_, row) => witness.queries.labels[row] === 2)).not.toContain(1);
  });
});
