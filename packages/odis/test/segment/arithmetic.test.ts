import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guidedFilter } from "../../src/segment/guided-filter.js";
import { cutParts, type PatchGrid, secondVector } from "../../src/segment/normalised-cut.js";
import { suppress } from "../../src/segment/boxes.js";
import type { Corners } from "../../src/segment/found.js";
import { resizePillow } from "../../src/portable/index.js";
import { resizeLinear, resizeOpenCv } from "../../src/segment/resize.js";
import { fixture, photograph } from "./networks.js";

/** What Pillow, OpenCV, PyTorch and SciPy computed (fixtures/masks/arithmetic.py). */
const witness = JSON.parse(readFileSync(fixture("arithmetic.json"), "utf8")) as {
  photo: string;
  resized: ({ width: number; height: number } & Record<string, string>)[];
  enlarged: { from: number[]; to: number[] };
  cut: {
    rows: number;
    columns: number;
    width: number;
    alike: number;
    features: number[];
    kinds: number[];
    second: number[];
  };
};

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("resizing", () => {
  test.each(["bilinear", "bicubic", "lanczos"] as const)(
    "%s is Pillow's, byte for byte",
    async (filter) => {
      const { width, height, rgb: data } = await photograph(witness.photo);
      for (const size of witness.resized) {
        const out = resizePillow(
          { width, height, channels: 3, data },
          size.width,
          size.height,
          filter,
        );
        expect(digest(out.data)).toBe(size[filter]);
      }
    },
  );

  test("of bytes without antialiasing is OpenCV's, byte for byte", async () => {
    const { width, height, rgb: data } = await photograph(witness.photo);
    for (const size of witness.resized) {
      const out = resizeOpenCv({ width, height, channels: 3, data }, size.width, size.height);
      expect(digest(out.data)).toBe(size["opencv"]);
    }
  });

  test("of maps is PyTorch's, and a window of it is that part", () => {
    const map = { width: 4, height: 3, data: Float32Array.from(witness.enlarged.from) };
    const out = resizeLinear(map, 9, 7);
    for (const [at, value] of witness.enlarged.to.entries())
      expect(out.data[at]).toBeCloseTo(value, 4);
    const window = resizeLinear(map, 9, 7, { x: 2, y: 3, width: 4, height: 2 });
    for (let y = 0; y < 2; y += 1)
      expect(window.data.subarray(4 * y, 4 * y + 4)).toEqual(
        out.data.slice((3 + y) * 9 + 2, (3 + y) * 9 + 6),
      );
  });
});

describe("suppression", () => {
  const box = fc
    .tuple(fc.nat(30), fc.nat(30), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }))
    .map(([x, y, w, h]): Corners => [x, y, x + w, y + h]);

  test("keeps the best of what overlaps, and all that does not", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(box, fc.float({ min: 0, max: 1, noNaN: true }), fc.nat(2)), {
          maxLength: 25,
        }),
        (objects) => {
          const boxes = objects.map(([corners]) => corners);
          const scores = objects.map(([, score]) => score);
          const groups = objects.map(([, , group]) => group);
          const kept = suppress(boxes, scores, { overlap: 0.4, most: 100, groups });
          const iou = (a: number, b: number) => overlapOf(boxes[a]!, boxes[b]!);
          for (const [index, a] of kept.entries())
            for (const b of kept.slice(0, index)) {
              expect(scores[b]).toBeGreaterThanOrEqual(scores[a]!);
              if (groups[a] === groups[b]) expect(iou(a, b)).toBeLessThanOrEqual(0.4);
            }
          for (const dropped of objects.keys())
            if (!kept.includes(dropped))
              expect(
                kept.some(
                  (a) =>
                    groups[a] === groups[dropped] &&
                    scores[a]! >= scores[dropped]! &&
                    iou(a, dropped) > 0.4,
                ),
              ).toBe(true);
        },
      ),
    );
  });

  /** Counted pixel by pixel: corners here are whole. */
  function overlapOf(a: Corners, b: Corners): number {
    let [shared, either] = [0, 0];
    const inside = ([x0, y0, x1, y1]: Corners, x: number, y: number) =>
      x >= x0 && x < x1 && y >= y0 && y < y1;
    for (let y = 0; y < 60; y += 1)
      for (let x = 0; x < 60; x += 1) {
        const [one, other] = [inside(a, x, y), inside(b, x, y)];
        if (one && other) shared += 1;
        if (one || other) either += 1;
      }
    return shared / either;
  }
});

describe("the normalised cut", () => {
  const { rows, columns, width, alike, kinds } = witness.cut;
  const grid: PatchGrid = {
    rows,
    columns,
    width,
    features: Float32Array.from(witness.cut.features),
  };

  test("is SciPy's second generalised eigenvector", () => {
    const n = rows * columns;
    const cosines = new Float32Array(n * n);
    const row = (at: number) => grid.features.subarray(at * width, (at + 1) * width);
    for (let a = 0; a < n; a += 1)
      for (let b = 0; b < n; b += 1) {
        const dot = row(a).reduce((sum, value, at) => sum + value * row(b)[at]!, 0);
        cosines[a * n + b] = dot / (Math.hypot(...row(a)) * Math.hypot(...row(b)));
      }
    const found = secondVector(cosines, new Uint8Array(n), alike);
    const cosine = found.reduce((sum, value, at) => sum + value * witness.cut.second[at]!, 0);
    const sign = Math.sign(cosine);
    for (const [at, value] of witness.cut.second.entries())
      expect(sign * found[at]!).toBeCloseTo(value, 4);
  });

  test("finds the two things that stand out, and nothing else", () => {
    const parts = cutParts(grid, { alike, most: 5, least: 0.02 });
    const things = [1, 2].map((kind) => kinds.map((own) => Number(own === kind)));
    for (const thing of things) {
      const best = Math.max(
        ...parts.map(({ inside }) => {
          const shared = inside.reduce((sum, bit, at) => sum + (bit & thing[at]!), 0);
          const either = inside.reduce((sum, bit, at) => sum + (bit | thing[at]!), 0);
          return shared / either;
        }),
      );
      expect(best).toBeGreaterThan(0.5); // cut at the mean, as published: noise of the background comes along
    }
    for (const { score } of parts.slice(0, 2)) expect(score).toBeGreaterThan(0.2);
  });
});

describe("the guided filter", () => {
  test("is the mean of the linear fits of all windows that hold a pixel", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 7 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        fc.uint8Array({ minLength: 168, maxLength: 168 }),
        (width, height, radius, noise) => {
          const rgb = noise.slice(0, 3 * width * height);
          const map = Float32Array.from(
            { length: width * height },
            (_, at) => noise[167 - at]! / 255,
          );
          const out = guidedFilter(map, { width, height, rgb }, radius);
          const direct = byLeastSquares(map, rgb, width, height, radius);
          for (const [at, value] of direct.entries())
            expect(Math.abs(out[at]! - value)).toBeLessThan(2e-3);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("moves a coarse edge to the picture's", () => {
    const [width, height] = [40, 20];
    const rgb = Uint8Array.from({ length: 3 * width * height }, (_, at) =>
      Math.floor(at / 3) % width < 17 ? 30 : 220,
    );
    const coarse = Float32Array.from({ length: width * height }, (_, at) =>
      Math.min(1, Math.max(0, (24 - (at % width)) / 8)),
    );
    const fine = guidedFilter(coarse, { width, height, rgb }, 8);
    for (let x = 4; x < width - 4; x += 1) expect(fine[10 * width + x]! > 0.6).toBe(x < 17);
  });

  /** Ridge regression in each window by gradient-free normal equations, solved by elimination. */
  function byLeastSquares(
    map: Float32Array,
    rgb: Uint8Array,
    width: number,
    height: number,
    radius: number,
  ) {
    const color = (at: number, c: number) => rgb[3 * at + c]! / 255;
    const windowOf = (at: number): number[] => {
      const [x, y] = [at % width, Math.floor(at / width)];
      const inside: number[] = [];
      for (let v = Math.max(0, y - radius); v <= Math.min(height - 1, y + radius); v += 1)
        for (let u = Math.max(0, x - radius); u <= Math.min(width - 1, x + radius); u += 1)
          inside.push(v * width + u);
      return inside;
    };
    const fits = Array.from(map.keys(), (at) => {
      const window = windowOf(at);
      const mean = (value: (pixel: number) => number) =>
        window.reduce((sum, pixel) => sum + value(pixel), 0) / window.length;
      const means = [0, 1, 2].map((c) => mean((pixel) => color(pixel, c)));
      const meanMap = mean((pixel) => map[pixel]!);
      const matrix = [0, 1, 2].map((a) => [
        ...[0, 1, 2].map(
          (b) =>
            mean((p) => (color(p, a) - means[a]!) * (color(p, b) - means[b]!)) +
            (a === b ? 1e-3 : 0),
        ),
        mean((p) => (color(p, a) - means[a]!) * (map[p]! - meanMap)),
      ]);
      for (let pivot = 0; pivot < 3; pivot += 1)
        for (let row = 0; row < 3; row += 1) {
          if (row === pivot) continue;
          const factor = matrix[row]![pivot]! / matrix[pivot]![pivot]!;
          for (let column = 0; column < 4; column += 1)
            matrix[row]![column]! -= factor * matrix[pivot]![column]!;
        }
      const slopes = [0, 1, 2].map((c) => matrix[c]![3]! / matrix[c]![c]!);
      return {
        slopes,
        offset: meanMap - slopes.reduce((sum, slope, c) => sum + slope * means[c]!, 0),
      };
    });
    return Array.from(map.keys(), (at) => {
      const values = windowOf(at).map((other) => {
        const { slopes, offset } = fits[other]!;
        return offset + slopes.reduce((sum, slope, c) => sum + slope * color(at, c), 0);
      });
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    });
  }
});
