import { describe, expect, it } from "vitest";
import { assert, array, integer, property, record } from "fast-check";
import { estimate, pairedDifference } from "../../src/evaluate/statistics.js";
import type { IouOutcome, ShareOutcome } from "../../src/evaluate/outcome.js";

const shareOf = (hits: readonly number[], groups: readonly number[]): ShareOutcome => ({
  kind: "share",
  hits: Uint8Array.from(hits),
  images: groups.map((group) => `${group}.jpg`),
});

describe("estimate of a share", () => {
  it("has the exact interval of two images, one right and one wrong", () => {
    // Two draws from two images give 0, 1/2, 1 with chances 1/4, 1/2, 1/4: both tails hold 2.5 %.
    const { value, low, high, n, images } = estimate(
      shareOf([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]),
      0,
    );
    expect(images).toBe(2);
    expect({ value, low, high, n }).toEqual({ value: 0.5, low: 0, high: 1, n: 6 });
  });

  it("is as wide as the normal approximation where every image has one object", () => {
    const hits = Array.from({ length: 900 }, (_, i) => Number(i % 3 === 0));
    const { low, high } = estimate(
      shareOf(
        hits,
        hits.map((_, i) => i),
      ),
      1,
    );
    const half = 1.96 * Math.sqrt((1 / 3) * (2 / 3) * (1 / 900)); // 0.0308
    expect(high - low).toBeGreaterThan(2 * half * 0.9);
    expect(high - low).toBeLessThan(2 * half * 1.1);
    expect((low + high) / 2).toBeCloseTo(1 / 3, 2);
  });

  it("is wider when objects of an image share their fate", () => {
    const hits = Array.from({ length: 400 }, (_, i) => Number(Math.floor(i / 4) % 2 === 0));
    const alone = estimate(
      shareOf(
        hits,
        hits.map((_, i) => i),
      ),
      0,
    );
    const together = estimate(
      shareOf(
        hits,
        hits.map((_, i) => Math.floor(i / 4)),
      ),
      0,
    );
    // Four objects that agree are worth one: twice the width.
    expect((together.high - together.low) / (alone.high - alone.low)).toBeGreaterThan(1.7);
    expect((together.high - together.low) / (alone.high - alone.low)).toBeLessThan(2.3);
  });

  it("draws the same images for the same seed", () => {
    const hits = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1];
    const groups = hits.map((_, i) => Math.floor(i / 2));
    expect(estimate(shareOf(hits, groups), 5)).toEqual(estimate(shareOf(hits, groups), 5));
  });

  it("says NaN of nothing", () => {
    expect(estimate(shareOf([], []), 0)).toEqual({
      value: NaN,
      low: NaN,
      high: NaN,
      n: 0,
      images: 0,
    });
  });
});

const iouOf = (intersections: readonly number[], unions: readonly number[]): IouOutcome => ({
  kind: "iou",
  classes: 3,
  images: ["0.jpg", "1.jpg"],
  intersections: Int32Array.from(intersections),
  unions: Int32Array.from(unions),
});

describe("estimate of an IoU", () => {
  it("adds up images before it divides, and leaves out what is nowhere", () => {
    // class 0: (1 + 3) / (4 + 4), class 1: 2 / 2 in the second image only, class 2 nowhere.
    const outcome = iouOf([1, 0, 0, 3, 2, 0], [4, 0, 0, 4, 2, 0]);
    expect(estimate(outcome, 0).value).toBe((0.5 + 1) / 2);
    // Drawn twice, the first image gives 1/4, the second (3/4 + 1) / 2.
    expect(estimate(outcome, 0)).toMatchObject({ low: 0.25, high: 0.875, n: 2 });
  });
});

describe("pairedDifference", () => {
  const outcomes = record({
    a: integer({ min: 0, max: 1 }),
    b: integer({ min: 0, max: 1 }),
    image: integer({ min: 0, max: 5 }),
  });

  it("is the difference of the shares, turns its sign with its sides, and holds 0 for equals", () => {
    assert(
      property(array(outcomes, { minLength: 1, maxLength: 30 }), (items) => {
        const [a, b] = (["a", "b"] as const).map((side) =>
          shareOf(
            items.map((item) => item[side]),
            items.map(({ image }) => image),
          ),
        );
        const there = pairedDifference(a!, b!);
        const back = pairedDifference(b!, a!);
        expect(there.value).toBeCloseTo(estimate(a!, 0).value - estimate(b!, 0).value, 12);
        expect(back.value).toBeCloseTo(-there.value, 12);
        expect(back.low).toBeCloseTo(-there.high, 12);
        expect(back.high).toBeCloseTo(-there.low, 12);
        expect(pairedDifference(a!, a!)).toMatchObject({ value: 0, low: 0, high: 0 });
      }),
      { numRuns: 30 },
    );
  });

  it("does not see what makes an image hard for both", () => {
    // Half of the images are hard: both fail; b also fails on one easy image in ten.
    const groups = Array.from({ length: 400 }, (_, i) => i);
    const a = shareOf(
      groups.map((i) => Number(i % 2 === 0)),
      groups,
    );
    const b = shareOf(
      groups.map((i) => Number(i % 2 === 0 && i % 20 !== 0)),
      groups,
    );
    const { value, low, high } = pairedDifference(a, b);
    expect(value).toBeCloseTo(0.05, 12);
    // A binomial of 400 draws at 1/20: 0.05 ± 1.96 sqrt(.05 .95 / 400) = .0214.
    expect((high - low) / (2 * 0.0214)).toBeGreaterThan(0.85);
    expect((high - low) / (2 * 0.0214)).toBeLessThan(1.15);
    expect(low).toBeGreaterThan(0);
    const alone = estimate(a, 0); // unpaired, the interval would hold 0
    expect(alone.high - alone.low).toBeGreaterThan(2 * value * 0.9);
  });

  it("compares the images that both have, in whatever order", () => {
    const a = shareOf([1, 1, 0], [1, 2, 3]);
    const b = shareOf([0, 0, 1, 0], [4, 3, 1, 1]);
    // Shared: 1 and 3. a: 1/1 and 0/1; b: 1/2 and 0/1.
    const { value, images } = pairedDifference(a, b);
    expect([value, images]).toEqual([1 / 2 - 1 / 3, 2]);
    expect(pairedDifference(a, shareOf([1], [9]))).toEqual({
      value: NaN,
      low: NaN,
      high: NaN,
      images: 0,
    });
  });

  it("works on IoUs too, and refuses to mix", () => {
    const a = iouOf([2, 0, 0, 3, 2, 0], [4, 0, 0, 4, 2, 0]);
    const b = iouOf([1, 0, 0, 3, 2, 0], [4, 0, 0, 4, 2, 0]);
    expect(pairedDifference(a, b).value).toBeCloseTo((5 / 8 - 4 / 8) / 2, 12);
    expect(() => pairedDifference(a, shareOf([1], [0]))).toThrow("a difference of iou and share");
  });
});
