import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { boxRle } from "../../src/objects/object.js";
import { parsePolygons, polygonRle } from "../../src/objects/polygon.js";
import { firstDifference } from "../golden.js";
import { rleArea, rleBox, rleToMask } from "../../src/objects/rle.js";

const fine = (value: number | undefined) => Math.trunc(5 * value! + 0.5);

/** The rule spelt out point by point, as a witness for the direct computation. */
function walked(part: readonly number[], width: number, height: number): Uint8Array {
  const points = part.length / 2;
  const [us, vs]: [number[], number[]] = [[], []];
  for (let i = 0; i < points; i += 1) {
    const j = (i + 1) % points;
    const [x0, y0, x1, y1] = [part[2 * i], part[2 * i + 1], part[2 * j], part[2 * j + 1]].map(fine);
    const [dx, dy] = [Math.abs(x1! - x0!), Math.abs(y1! - y0!)];
    const swap = dx >= dy ? x0! > x1! : y0! > y1!;
    const [sx, sy, ex, ey] = swap ? [x1!, y1!, x0!, y0!] : [x0!, y0!, x1!, y1!];
    for (let d = 0; d <= Math.max(dx, dy); d += 1) {
      const t = swap ? Math.max(dx, dy) - d : d;
      us.push(dx >= dy ? sx + t : Math.trunc(sx + ((ex - sx) / dy) * t + 0.5));
      vs.push(dx >= dy ? Math.trunc(sy + ((ey - sy) / dx) * t + 0.5) : sy + t);
    }
  }
  const toggles = new Uint8Array(width * height + 1);
  for (let i = 1; i < us.length; i += 1) {
    if (us[i] === us[i - 1]) continue;
    const x = (Math.min(us[i]!, us[i - 1]!) + 0.5) / 5 - 0.5;
    if (!Number.isInteger(x) || x < 0 || x > width - 1) continue;
    const y = (Math.min(vs[i]!, vs[i - 1]!) + 0.5) / 5 - 0.5;
    toggles[x * height + Math.ceil(Math.min(Math.max(y, 0), height))]! ^= 1;
  }
  const mask = new Uint8Array(width * height);
  let inside = 0;
  for (let at = 0; at < width * height; at += 1) {
    inside ^= toggles[at]!;
    mask[(at % height) * width + Math.floor(at / height)] = inside;
  }
  return mask;
}

const coordinate = fc.oneof(
  fc.double({ min: -30, max: 60, noNaN: true }),
  fc.integer({ min: -10, max: 300 }).map((n) => n / 5),
  fc.integer({ min: -10, max: 120 }).map((n) => n / 2),
);

describe("polygons", () => {
  test("the direct crossings are those of the walked boundary", () => {
    const polygons = fc.array(fc.tuple(coordinate, coordinate), { minLength: 3, maxLength: 9 });
    fc.assert(
      fc.property(polygons, (points) => {
        const part = points.flat();
        const mask = rleToMask(polygonRle([part], 37, 29));
        expect(firstDifference(mask, walked(part, 37, 29))).toBe(-1);
      }),
      { numRuns: 2000 },
    );
  });

  test("a vertex far away is cut off at the image", () => {
    const rle = polygonRle([[0, 0, 1e8, 0, 1e8, 1e8, 0, 1e8]], 20, 10);
    expect(rleArea(rle)).toBe(200);
  });

  test("several parts are what any of them covers", () => {
    const points = fc.array(fc.tuple(coordinate, coordinate), { minLength: 3, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(points, { minLength: 2, maxLength: 4 }), (parts) => {
        const outlines = parts.map((part) => part.flat());
        const wanted = new Uint8Array(37 * 29);
        for (const outline of outlines)
          walked(outline, 37, 29).forEach((bit, at) => (wanted[at]! |= bit));
        const rle = polygonRle(outlines, 37, 29);
        expect(firstDifference(rleToMask(rle), wanted)).toBe(-1);
        expect(rle.counts.subarray(1).includes(0)).toBe(false); // as pycocotools writes them: none is empty
      }),
      { numRuns: 500 },
    );
  });

  test("parts are united, not toggled", () => {
    const square = [1, 1, 5, 1, 5, 5, 1, 5];
    expect(rleArea(polygonRle([square, square], 8, 8))).toBe(16);
    expect(rleArea(polygonRle([square, [3, 3, 7, 3, 7, 7, 3, 7]], 8, 8))).toBe(16 + 16 - 4);
  });

  test.each([
    [[], "polygons: got []; wanted a list of [x, y, x, y, ...]"],
    ["mask", 'polygons: got "mask"; wanted a list of [x, y, x, y, ...]'],
    [[1, 2, 3], "polygon 1 of 3: got 1; wanted [x, y, x, y, ...]"],
    [[[1, 2, 3, 4, 5, 6, 7]], "polygon 1 of 1: got 7 numbers; wanted an even count (x, y pairs)"],
    [[[1, 1, 2, 2]], "polygon 1 of 1: got 4 numbers; wanted 6 or more (three points)"],
    [
      [
        [0, 0, 1, 1, 2, 0],
        [0, 0, 1, "1", 2, 0],
      ],
      'polygon 2 of 2: got "1" at index 3; wanted a pixel position',
    ],
    [[[0, 0, 1, null, 2, 0]], "polygon 1 of 1: got null at index 3; wanted a pixel position"],
    [[[0, 0, 1, 1e300, 2, 0]], "polygon 1 of 1: got 1e+300 at index 3; wanted a pixel position"],
  ])("%j is refused", (value, message) => {
    expect(() => parsePolygons(value)).toThrow(new DataError(message));
  });
});

describe("boxes", () => {
  test("fill their pixels and round as polygons do", () => {
    const whole = boxRle([2, 3, 4, 5], 10, 10);
    expect(rleBox(whole)).toEqual({ x: 2, y: 3, width: 4, height: 5 });
    expect(rleArea(whole)).toBe(20);
    expect(boxRle([4.5, 6.5, 10, 10], 59, 43)).toEqual(
      polygonRle([[4.5, 6.5, 14.5, 6.5, 14.5, 16.5, 4.5, 16.5]], 59, 43),
    );
  });

  test("are cut at the image", () => {
    expect(rleBox(boxRle([-3, -3, 6, 100], 10, 8))).toEqual({ x: 0, y: 0, width: 3, height: 8 });
    expect(rleArea(boxRle([20, 20, 5, 5], 10, 8))).toBe(0);
  });

  test.each([
    [[1, 2, 3]],
    [[1, 2, 3, 0]],
    [[1, 2, -3, 4]],
    [[1, 2, 3, "4"]],
    [null],
    [[0, 0, NaN, 1]],
  ])("%j is refused", (value) => {
    expect(() => boxRle(value, 10, 10)).toThrow(
      new DataError(
        `box: got ${JSON.stringify(value).replace(",null", ",NaN")}; wanted [x, y, width, height] in pixels, ` +
          "width and height above 0",
      ),
    );
  });
});
