import type { ColorStep, Cut } from "@odis/torch/images";
import * as fc from "fast-check";
import { Rng } from "../../src/core/rng.js";

/** Pixels of every kind that shows a mistake: noise, extremes, smooth slopes, one colour. */
export function paint(kind: string, length: number, rng: Rng): Uint8Array {
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
export const size = fc.oneof(
  fc.constantFrom(16, 32, 48, 96, 112),
  fc.integer({ min: 1, max: 130 }),
);
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
export const step = fc
  .constantFrom(...(Object.keys(amounts) as ColorStep["change"][]))
  .chain((change) => amounts[change].map((amount): ColorStep => ({ change, amount })));

/** A picture with a mask in some rectangle of it, and a cut. */
export const scene = fc.tuple(
  side,
  side,
  fc.nat(),
  fc.constantFrom("noise", "extremes", "slope", "even"),
);
type Scene = readonly [width: number, height: number, seed: number, kind: string];
export function sceneOf([width, height, seed, kind]: Scene) {
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
  return { picture, mask: { width, height, pixels: bits }, cut, rng };
}
