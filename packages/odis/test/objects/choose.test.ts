import { describe, expect, test } from "vitest";
import { chooseObject, chooseObjects } from "../../src/objects/choose.js";
import { boxRle } from "../../src/objects/object.js";
import { overlapAbove } from "../../src/objects/object.js";
import { visiblePatches } from "../../src/portable/index.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { Rng } from "../../src/core/rng.js";

/** Share of draws per index. */
function shares(areas: readonly number[], rule: "area" | "uniform" | "largest", minArea: number) {
  const rng = new Rng("choose", 1);
  const counts = areas.map(() => 0);
  for (let draw = 0; draw < 20_000; draw += 1) {
    counts[chooseObject(areas, rule, minArea, rng)]! += 1;
  }
  return counts.map((count) => count / 20_000);
}

describe("choosing an object", () => {
  const areas = [100, 0, 300, 9, 600];

  test("by area: in proportion among those large enough", () => {
    const got = shares(areas, "area", 10);
    [0.1, 0, 0.3, 0, 0.6].forEach((share, i) => expect(got[i]).toBeCloseTo(share, 1.5));
    expect(got[1]! + got[3]!).toBe(0);
  });

  test("uniform: equal chances among those large enough", () => {
    const got = shares(areas, "uniform", 10);
    [1 / 3, 0, 1 / 3, 0, 1 / 3].forEach((share, i) => expect(got[i]).toBeCloseTo(share, 1.5));
    expect(got[1]! + got[3]!).toBe(0);
  });

  test("largest: always the same", () => {
    expect(shares(areas, "largest", 10)).toEqual([0, 0, 0, 0, 1]);
  });

  test("weights change chances, and areas where the largest is wanted; 0 is never chosen", () => {
    const weights = [1, 1, 0.5, 1, 0];
    const draw = (rule: "area" | "uniform" | "largest") => {
      const rng = new Rng("weighed", 1);
      const counts = areas.map(() => 0);
      for (let times = 0; times < 20_000; times += 1)
        counts[chooseObject(areas, rule, 10, rng, weights)]! += 1 / 20_000;
      return counts;
    };
    [0.4, 0, 0.6, 0, 0].forEach((share, i) => expect(draw("area")[i]).toBeCloseTo(share, 1.5));
    [2 / 3, 0, 1 / 3, 0, 0].forEach((share, i) =>
      expect(draw("uniform")[i]).toBeCloseTo(share, 1.5),
    );
    expect(draw("largest")[2]).toBeCloseTo(1, 9);
  });

  test("an empty mask is never chosen, and no candidate gives -1", () => {
    const rng = new Rng("choose", 2);
    for (const rule of ["area", "uniform", "largest"] as const) {
      expect(chooseObject([], rule, 0, rng)).toBe(-1);
      expect(chooseObject([0, 0], rule, 0, rng)).toBe(-1);
      expect(chooseObject([5, 9], rule, 10, rng)).toBe(-1);
      expect(chooseObject([0, 9], rule, 0, rng)).toBe(1);
    }
  });
});

describe("choosing several objects", () => {
  const boxes = (...list: number[][]) =>
    list.map((box, id) => objectFromRuns(boxRle(box, 60, 50), { id, label: 0 }));
  const all = { choose: "area", weigh: "none", count: 9, overlap: 1 } as const;

  test("the first is chosen as one alone, the others by the same rule among the rest", () => {
    const objects = boxes([0, 0, 10, 10], [20, 0, 10, 30], [40, 0, 10, 20]); // 100, 300, 200
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 20_000; seed += 1) {
      const chosen = chooseObjects(objects, all, 0, new Rng("several", seed));
      const areas = objects.map(({ area }) => area);
      expect(chosen[0]).toBe(chooseObject(areas, "area", 0, new Rng("several", seed)));
      counts.set(chosen.join(), (counts.get(chosen.join()) ?? 0) + 1 / 20_000);
    }
    // 1/6 · 3/5, 1/6 · 2/5, ...
    const wanted = { "0,1,2": 6, "0,2,1": 4, "1,0,2": 10, "1,2,0": 20, "2,0,1": 5, "2,1,0": 15 };
    for (const [order, sixtieths] of Object.entries(wanted))
      expect(counts.get(order)).toBeCloseTo(sixtieths / 60, 1.7);
  });

  test("small ones, and more than there are, are left out", () => {
    const objects = boxes([0, 0, 10, 10], [20, 0, 10, 30], [40, 0, 2, 2]);
    const chosen = chooseObjects(objects, all, 50, new Rng("small"));
    expect(new Set(chosen)).toEqual(new Set([0, 1]));
    expect(chooseObjects([], all, 0, new Rng("none"))).toEqual([]);
    expect(chooseObjects(objects, { ...all, choose: "largest", count: 2 }, 0, new Rng(1))).toEqual([
      1, 0,
    ]);
  });

  test("one that overlaps too much with an earlier one is passed over", () => {
    // Of the first, the second shares 50 of 150 pixels, the third none.
    const objects = boxes([0, 0, 10, 10], [5, 0, 10, 10], [30, 30, 9, 9]);
    const largest = { choose: "largest", weigh: "none", count: 3 } as const;
    const pick = (overlap: number) =>
      chooseObjects(objects, { ...largest, overlap }, 0, new Rng("overlap"));
    expect(pick(0.34)).toEqual([0, 1, 2]);
    expect(pick(0.33)).toEqual([0, 2]);
  });

  test("masks decide, not boxes", () => {
    const mask = (inside: (x: number, y: number) => boolean) =>
      rleFromMask(
        Uint8Array.from({ length: 400 }, (_, i) => Number(inside(i % 20, Math.floor(i / 20)))),
        20,
        20,
      );
    const lower = objectFromRuns(mask((x, y) => x < y)); // 190 pixels, box of 19 × 19
    const upper = objectFromRuns(mask((x, y) => x > y));
    const wide = objectFromRuns(mask((x, y) => x <= y)); // 210
    expect(overlapAbove(lower, upper, 0)).toBe(false);
    expect(overlapAbove(lower, wide, 190 / 210 - 0.001)).toBe(true);
    expect(overlapAbove(lower, wide, 190 / 210 + 0.001)).toBe(false);
    // Objects without runs are held against each other pixel by pixel.
    const plain = ({ pixels, ...rest }: typeof lower) => ({ ...rest, pixels: () => pixels() });
    expect(overlapAbove(plain(lower), wide, 190 / 210 - 0.001)).toBe(true);
    expect(overlapAbove(plain(lower), plain(wide), 190 / 210 + 0.001)).toBe(false);
  });
});

/** Patches of one pixel: the mask is the grid. */
function rectangles(grid: readonly string[], margin: number): string[] {
  const [height, width] = [grid.length, grid[0]!.length];
  const counts = Int32Array.from(grid.join(""), Number);
  const out = new Uint8Array(counts.length);
  visiblePatches(counts, width, height, 1, { rule: "boxes", coverage: 1, margin }, out);
  return grid.map((_, y) => out.subarray(y * width, (y + 1) * width).join(""));
}

describe("rectangles round connected patches", () => {
  test("round each 8-connected group, grown by the margin, cut at the edge", () => {
    const grid = ["1000000", "0100000", "0000000", "0000000", "0000010"];
    expect(rectangles(grid, 0)).toEqual(["1100000", "1100000", "0000000", "0000000", "0000010"]);
    expect(rectangles(grid, 1)).toEqual(["1110000", "1110000", "1110000", "0000111", "0000111"]);
  });
});
