import {
  type ColorStep,
  countPatches,
  type Cut,
  drawMask,
  drawView,
  recolor,
} from "@odis/torch/images";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { firstDifference } from "../golden.js";
import * as witness from "./witness/index.js";

/** Pixels of every kind that shows a mistake: noise, extremes, smooth slopes, one colour. */
function paint(kind: string, length: number, rng: Rng): Uint8Array {
  const [from, to] = [rng.int(0, 255), rng.int(0, 255)];
  const kinds: Readonly<Record<string, (index: number) => number>> = {
    noise: () => rng.int(0, 255),
    extremes: () => 255 * rng.int(0, 1),
    slope: (index) => from + ((to - from) * index) / length,
    even: () => from,
  };
  return Uint8Array.from({ length }, (_, index) => kinds[kind]!(index));
}

const side = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 41, max: 300 }));
const size = fc.oneof(fc.constantFrom(16, 32, 48, 96, 112), fc.integer({ min: 1, max: 130 }));
const amounts: Readonly<Record<ColorStep["change"], fc.Arbitrary<number>>> = {
  brightness: fc.double({ min: 0, max: 2, noNaN: true }),
  contrast: fc.double({ min: 0, max: 2, noNaN: true }),
  saturation: fc.double({ min: -1, max: 3, noNaN: true }),
  hue: fc.double({ min: -0.5, max: 0.5, noNaN: true }),
  gray: fc.constant(0),
  blur: fc.oneof(
    fc.double({ min: 0, max: 3, noNaN: true }),
    fc.double({ min: 3, max: 100, noNaN: true }),
  ),
  solarize: fc.double({ min: -1, max: 257, noNaN: true }),
};
const step = fc
  .constantFrom(...(Object.keys(amounts) as ColorStep["change"][]))
  .chain((change) => amounts[change].map((amount): ColorStep => ({ change, amount })));

/** A picture with a mask in some rectangle of it, and a cut. */
const scene = fc.tuple(side, side, fc.nat(), fc.constantFrom("noise", "extremes", "slope", "even"));
type Scene = readonly [width: number, height: number, seed: number, kind: string];
function sceneOf([width, height, seed, kind]: Scene) {
  const rng = new Rng("scene", seed);
  const inside = () => {
    const [w, h] = [rng.int(1, width), rng.int(1, height)];
    return { x: rng.int(0, width - w), y: rng.int(0, height - h), width: w, height: h };
  };
  const cut: Cut = { box: inside(), flip: rng.bool() };
  const within = inside();
  const bits = new Uint8Array(width * height);
  for (let y = within.y; y < within.y + within.height; y += 1)
    for (let x = within.x; x < within.x + within.width; x += 1) bits[y * width + x] = rng.int(0, 1);
  const picture = { width, height, rgb: paint(kind, 3 * width * height, rng) };
  return { picture, mask: { width, height, pixels: bits }, cut, within, rng };
}

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
        const { mask, cut, within, rng } = sceneOf(drawn);
        const [got, wanted] = [new Uint8Array(size * size), new Uint8Array(size * size)];
        const count = drawMask(mask, cut, size, got);
        expect(count).toBe(witness.drawMask(mask, cut, size, wanted));
        expect(firstDifference(got, wanted)).toBe(-1);

        const divisors = Array.from({ length: size }, (_, index) => index + 1).filter(
          (patch) => size % patch === 0,
        );
        const patch = divisors[rng.int(0, divisors.length - 1)]!;
        const counts = new Int32Array((size / patch) ** 2).fill(-1);
        expect(countPatches(mask, cut, within, size, patch, counts)).toBe(count);
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
