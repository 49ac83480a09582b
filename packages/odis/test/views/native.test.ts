import { countPatches, drawMask, drawView, recolor } from "@odis/torch/images";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { firstDifference } from "../golden.js";
import { paint, scene, sceneOf, size, step } from "./scene.js";
import * as witness from "./witness/index.js";

describe("the native code gives the witness's bytes", () => {
  test("of whole views, whatever is cut, resized, mirrored and changed", () => {
    fc.assert(
      fc.property(scene, size, fc.array(step, { maxLength: 5 }), (drawn, size, steps) => {
        const { picture, cut } = sceneOf(drawn);
        const [got, wanted] = [new Uint8Array(3 * size * size), new Uint8Array(3 * size * size)];
        drawView(picture, cut, size, got, steps);
        witness.drawView(picture, cut, size, wanted, steps);
        expect(firstDifference(got, wanted)).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  test("of every change by itself", () => {
    fc.assert(
      fc.property(scene, size, step, ([, , seed, kind], size, change) => {
        const got = paint(kind, 3 * size * size, new Rng("pixels", seed));
        const wanted = got.slice();
        recolor(got, size, [change]);
        witness.recolor(wanted, size, [change]);
        expect(firstDifference(got, wanted)).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  test("of masks, and their counts in patches without drawing them", () => {
    fc.assert(
      fc.property(scene, size, (drawn, size) => {
        const { mask, cut, rng } = sceneOf(drawn);
        const [got, wanted] = [new Uint8Array(size * size), new Uint8Array(size * size)];
        const count = drawMask(mask, cut, size, got);
        expect(count).toBe(witness.drawMask(mask, cut, size, wanted));
        expect(firstDifference(got, wanted)).toBe(-1);

        const divisors = Array.from({ length: size }, (_, index) => index + 1).filter(
          (patch) => size % patch === 0,
        );
        const patch = divisors[rng.int(0, divisors.length - 1)]!;
        const counts = new Int32Array((size / patch) ** 2).fill(-1);
        const runs = rleFromMask(mask.pixels, mask.width, mask.height);
        expect(countPatches(runs, cut, size, patch, counts)).toBe(count);
        expect([...counts]).toEqual([...witness.countPatches(mask, cut, size, patch)]);
      }),
      { numRuns: 500 },
    );
  });

  test("of all 16,777,216 colours when the hue turns", () => {
    const [side, n] = [4096, 2 ** 24];
    const cube = new Uint8Array(3 * n);
    for (let color = 0; color < n; color += 1) {
      cube[color] = color & 255;
      cube[color + n] = (color >> 8) & 255;
      cube[color + 2 * n] = color >> 16;
    }
    for (const amount of [0, 0.1, -0.37]) {
      const [got, wanted] = [cube.slice(), cube.slice()];
      recolor(got, side, [{ change: "hue", amount }]);
      witness.recolor(wanted, side, [{ change: "hue", amount }]);
      expect(firstDifference(got, wanted)).toBe(-1);
    }
  });
});
