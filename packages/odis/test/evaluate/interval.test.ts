import { describe, expect, it } from "vitest";
import { clusteredShare } from "../../src/evaluate/interval.js";

describe("clusteredShare", () => {
  it("has the exact interval of two images, one right and one wrong", () => {
    // Two draws from two images give 0, 1/2, 1 with chances 1/4, 1/2, 1/4: both tails hold 2.5 %.
    const { value, low, high, n } = clusteredShare([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], 0);
    expect({ value, low, high, n }).toEqual({ value: 0.5, low: 0, high: 1, n: 6 });
  });

  it("is as wide as the normal approximation where every image has one object", () => {
    const hits = Array.from({ length: 900 }, (_, i) => Number(i % 3 === 0));
    const { low, high } = clusteredShare(
      hits,
      hits.map((_, i) => i),
      1,
    );
    const half = 1.96 * Math.sqrt((1 / 3) * (2 / 3) * (1 / 900)); // 0.0308
    expect(high - low).toBeGreaterThan(2 * half * 0.9);
    expect(high - low).toBeLessThan(2 * half * 1.1);
    expect((low + high) / 2).toBeCloseTo(1 / 3, 2);
  });

  it("is wider when objects of an image share their fate", () => {
    const hits = Array.from({ length: 400 }, (_, i) => Number(Math.floor(i / 4) % 2 === 0));
    const alone = clusteredShare(
      hits,
      hits.map((_, i) => i),
      0,
    );
    const together = clusteredShare(
      hits,
      hits.map((_, i) => Math.floor(i / 4)),
      0,
    );
    // Four objects that agree are worth one: twice the width.
    expect((together.high - together.low) / (alone.high - alone.low)).toBeGreaterThan(1.7);
    expect((together.high - together.low) / (alone.high - alone.low)).toBeLessThan(2.3);
  });

  it("draws the same images for the same seed", () => {
    const hits = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1];
    const groups = hits.map((_, i) => Math.floor(i / 2));
    expect(clusteredShare(hits, groups, 5)).toEqual(clusteredShare(hits, groups, 5));
  });

  it("says NaN of nothing", () => {
    expect(clusteredShare([], [], 0)).toEqual({ value: NaN, low: NaN, high: NaN, n: 0 });
  });
});
