import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tracedOutline } from "../../src/data/writers/trace.js";
import { objectFromPolygons } from "../../src/objects/index.js";

const mask = (rows: readonly string[]) => ({
  values: Uint8Array.from(rows.join(""), (letter) => Number(letter === "#")),
  width: rows[0]!.length,
  height: rows.length,
});

/** Parts of the pixels of one value that touch along edges (4) or at corners, too (8). */
function parts(
  { values, width, height }: ReturnType<typeof mask>,
  of: number,
  reach: 4 | 8,
): number {
  const seen = new Set<number>();
  let count = 0;
  for (const first of values.keys()) {
    if (values[first] !== of || seen.has(first)) continue;
    count += 1;
    const waiting = [first];
    seen.add(first);
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop())
      for (const [dx, dy] of [-1, 0, 1].flatMap((x) => [-1, 0, 1].map((y) => [x, y] as const))) {
        if (reach === 4 && dx * dy !== 0) continue;
        const x: number = (at % width) + dx;
        const y: number = Math.floor(at / width) + dy;
        const next = y * width + x;
        if (x < 0 || y < 0 || x >= width || y >= height || values[next] !== of || seen.has(next))
          continue;
        seen.add(next);
        waiting.push(next);
      }
  }
  return count;
}

describe("the outline of a mask", () => {
  it("goes round its pixels", () => {
    expect(tracedOutline(mask(["#"]))).toEqual([1, 0, 1, 1, 0, 1, 0, 0]);
    expect(tracedOutline(mask([".#.", "###"]))).toEqual([
      2, 0, 2, 1, 3, 1, 3, 2, 0, 2, 0, 1, 1, 1, 1, 0,
    ]);
  });

  it.each([
    ["two parts", ["#.#"]],
    ["parts that touch at a corner", ["#.", ".#"]],
    ["a hole", ["###", "#.#", "###"]],
    ["nothing", ["..."]],
  ])("is none of %s", (_what, rows) => {
    expect(tracedOutline(mask(rows))).toBeUndefined();
  });

  it("is there for every mask of one part without holes, and draws it again, to the pixel", () => {
    const sides = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
    const masks = sides.chain(([width, height]) =>
      fc
        .array(fc.constantFrom(1, 1, 1, 0), {
          minLength: width * height,
          maxLength: width * height,
        })
        .map((bits) => ({ values: Uint8Array.from(bits), width, height })),
    );
    let traced = 0;
    fc.assert(
      fc.property(masks, (one) => {
        const outline = tracedOutline(one);
        // With a frame of background, so that all that is outside of the mask is one part of it.
        const [width, height] = [one.width + 2, one.height + 2];
        const framed = { values: new Uint8Array(width * height), width, height };
        for (const [at, value] of one.values.entries())
          framed.values[(Math.floor(at / one.width) + 1) * width + (at % one.width) + 1] = value;
        const isOne = parts(framed, 1, 4) === 1 && parts(framed, 0, 8) === 1;
        expect(outline !== undefined).toBe(isOne);
        if (!outline) return;
        traced += 1;
        const shifted = outline.map((value) => value + 1);
        const drawn = objectFromPolygons([shifted], framed, { label: 0 });
        expect(drawn.pixels()).toEqual(framed.values);
      }),
      { numRuns: 2000 },
    );
    expect(traced).toBeGreaterThan(50);
  });
});
