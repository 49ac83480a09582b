import { describe, expect, test } from "vitest";
import { chooseObject } from "../../src/objects/choose.js";
import { visiblePatches } from "../../src/objects/patches.js";
import { Rng } from "../../src/rng.js";

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

/** Patches of one pixel: the mask is the grid. */
function rectangles(grid: readonly string[], margin: number): string[] {
  const [height, width] = [grid.length, grid[0]!.length];
  const pixels = Uint8Array.from(grid.join(""), Number);
  const out = new Uint8Array(pixels.length);
  visiblePatches(pixels, width, height, 1, { rule: "lineage", coverage: 1, margin }, out);
  return grid.map((_, y) => out.subarray(y * width, (y + 1) * width).join(""));
}

describe("the lineage's rectangles", () => {
  test("round each 8-connected group, grown by the margin, cut at the edge", () => {
    const grid = ["1000000", "0100000", "0000000", "0000000", "0000010"];
    expect(rectangles(grid, 0)).toEqual(["1100000", "1100000", "0000000", "0000000", "0000010"]);
    expect(rectangles(grid, 1)).toEqual(["1110000", "1110000", "1110000", "0000111", "0000111"]);
  });
});
