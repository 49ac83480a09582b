import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Rle,
  rleArea,
  rleFromMask,
  rleIou,
  rleShared,
  rleToMask,
} from "../../src/objects/rle.js";
import { type Candidate, cleanDefaults, cleaned } from "../../src/segment/clean.js";
import { segmentGraph } from "../../src/segment/felzenszwalb.js";
import { regions } from "../../src/segment/makers/regions.js";
import { regionsOf } from "../../src/segment/regions.js";

const [width, height] = [96, 72];

/** Flat rectangles on a flat ground: [x, y, width, height, red, green, blue]. */
function painted(rectangles: readonly (readonly number[])[]): Uint8Array {
  const rgb = new Uint8Array(3 * width * height).fill(200);
  for (const [x = 0, y = 0, w = 0, h = 0, ...color] of rectangles)
    for (let v = y; v < y + h; v += 1)
      for (let u = x; u < x + w; u += 1) rgb.set(color, 3 * (v * width + u));
  return rgb;
}

function rectangle(x: number, y: number, w: number, h: number): Rle {
  const mask = new Uint8Array(width * height);
  for (let v = y; v < y + h; v += 1) mask.fill(1, v * width + x, v * width + x + w);
  return rleFromMask(mask, width, height);
}

describe("graph segmentation", () => {
  test("parts flat surfaces", () => {
    const data = painted([
      [10, 10, 20, 20, 200, 30, 30],
      [50, 30, 30, 25, 30, 60, 200],
    ]);
    const { labels, count } = segmentGraph(
      { width, height, channels: 3, data },
      { scale: 100, least: 20 },
    );
    const at = (x: number, y: number) => labels[y * width + x]!;
    expect(count).toBeGreaterThanOrEqual(3);
    expect(new Set([at(2, 2), at(20, 20), at(65, 42)]).size).toBe(3);
    for (let y = 13; y < 27; y += 1)
      for (let x = 13; x < 27; x += 1) expect(at(x, y)).toBe(at(20, 20));
    expect(at(90, 5)).toBe(at(2, 2));
  });

  test("leaves no region smaller than wanted, of any picture", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3 * 20 * 15, maxLength: 3 * 20 * 15 }), (data) => {
        const { labels, count } = segmentGraph(
          { width: 20, height: 15, channels: 3, data },
          { scale: 50, least: 12 },
        );
        const sizes = new Int32Array(count);
        for (const label of labels) sizes[label]! += 1;
        expect(Math.min(...sizes)).toBeGreaterThanOrEqual(12);
      }),
      { numRuns: 30 },
    );
  });
});

describe("regions as objects", () => {
  test("are things that differ from their surroundings, the surest first", async () => {
    const rgb = painted([
      [10, 10, 24, 20, 210, 30, 30],
      [50, 30, 30, 25, 30, 60, 210],
    ]);
    const { finder, provenance } = await regions.open("", {});
    const found = await finder.find({ width, height, rgb }, { key: "a" });
    for (const thing of [rectangle(10, 10, 24, 20), rectangle(50, 30, 30, 25)])
      expect(Math.max(...found.map(({ mask }) => rleIou(mask!, thing)))).toBeGreaterThan(0.7); // smoothing takes a pixel or two at each edge
    expect(found.map(({ score }) => score)).toEqual(
      found.map(({ score }) => score).toSorted((a, b) => b - a),
    );
    expect(found.length).toBeLessThanOrEqual(5);
    expect(provenance).toMatchObject({ maker: "regions", settings: { most: 5 } });
  });

  test("any picture has some, or none, and no mask is empty", async () => {
    const { finder } = await regions.open("", { size: 64 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.uint8Array({ minLength: 4800, maxLength: 4800 }),
        async (w, h, noise) => {
          const found = await finder.find(
            { width: w, height: h, rgb: noise.subarray(0, 3 * w * h) },
            { key: "a" },
          );
          for (const { mask, score } of found) {
            expect(rleArea(mask!)).toBeGreaterThan(0);
            expect(score).toBeGreaterThanOrEqual(0);
            expect(score).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

const masks = fc
  .uint8Array({ min: 0, max: 1, minLength: 30, maxLength: 30 })
  .map((mask) => rleFromMask(mask, 6, 5));

describe("run lengths of two masks", () => {
  test("share what their pixels share", () => {
    fc.assert(
      fc.property(masks, masks, (a, b) => {
        const [one, other] = [rleToMask(a), rleToMask(b)];
        const shared = one.reduce((sum, bit, at) => sum + (bit & other[at]!), 0);
        const either = one.reduce((sum, bit, at) => sum + (bit | other[at]!), 0);
        expect(rleShared(a, b)).toBe(shared);
        expect(rleIou(a, b)).toBeCloseTo(either === 0 ? 0 : shared / either, 12);
      }),
    );
  });
});

describe("connected regions", () => {
  test("hold every pixel once, and no two touch", () => {
    fc.assert(
      fc.property(fc.uint8Array({ min: 0, max: 1, minLength: 42, maxLength: 42 }), (inside) => {
        const parts = regionsOf(inside, { width: 7, height: 6 });
        const owner = new Int32Array(42).fill(-1);
        for (const [index, pixels] of parts.entries()) for (const at of pixels) owner[at] = index;
        expect(parts.reduce((sum, { length }) => sum + length, 0)).toBe(
          inside.reduce((a, b) => a + b, 0),
        );
        for (let at = 0; at < 42; at += 1) {
          expect(owner[at]! >= 0).toBe(inside[at] === 1);
          if (inside[at] === 0) continue;
          if (at % 7 < 6 && inside[at + 1] === 1) expect(owner[at + 1]).toBe(owner[at]);
          if (at + 7 < 42 && inside[at + 7] === 1) expect(owner[at + 7]).toBe(owner[at]);
        }
        expect(parts.map(({ length }) => length)).toEqual(
          parts.map(({ length }) => length).toSorted((a, b) => b - a),
        );
      }),
    );
  });
});

describe("cleaning", () => {
  const frame = { width, height };
  const candidate = (score: number, mask: Rle): Candidate => ({ score, label: -1, mask });

  test("drops the tiny, the whole picture, and the less sure of two that are one", () => {
    const kept = cleaned(
      [
        candidate(0.9, rectangle(0, 0, width, height)),
        candidate(0.8, rectangle(1, 1, 1, 1)),
        candidate(0.3, rectangle(10, 10, 20, 20)),
        candidate(0.6, rectangle(11, 10, 20, 20)),
        candidate(0.5, rectangle(50, 30, 20, 20)),
        candidate(0.4, rleFromMask(new Uint8Array(width * height), width, height)),
      ],
      cleanDefaults,
      frame,
    );
    expect(kept.map(({ score }) => score)).toEqual([0.6, 0.5]);
  });

  test("gives shared pixels to the surest, where that is asked", () => {
    const kept = cleaned(
      [candidate(0.4, rectangle(10, 10, 20, 20)), candidate(0.9, rectangle(20, 10, 20, 20))],
      { ...cleanDefaults, exclusive: true },
      frame,
    );
    expect(kept.map(({ mask }) => rleArea(mask))).toEqual([400, 200]);
    expect(rleShared(kept[0]!.mask, kept[1]!.mask)).toBe(0);
  });
});
