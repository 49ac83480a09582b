/**
 * What `@odis/torch/images` computes, in plain TypeScript and pixel by pixel: an independent second way to
 * the same bytes. It is compared with Pillow's own results in reference.test.ts, and the native code with
 * both.
 */
import type { ColorStep, Cut, Mask, Picture } from "@odis/torch/images";
import { blur } from "./blur.js";
import { brightness, contrast, grayscale, hue, saturation, solarize } from "./color.js";
import { patchCounts, resampleBicubic, resampleNearest } from "../../../src/portable/index.js";

export function drawView(
  picture: Picture,
  cut: Cut,
  size: number,
  out: Uint8Array,
  steps: readonly ColorStep[] = [],
): void {
  resampleBicubic(picture, cut, size, out);
  recolor(out, size, steps);
}

type Apply = (pixels: Uint8Array, amount: number, size: number) => void;
const applied: Readonly<Record<ColorStep["change"], Apply>> = {
  brightness,
  contrast,
  saturation,
  hue,
  gray: (pixels) => grayscale(pixels),
  blur: (pixels, radius, size) => blur(pixels, size, radius),
  solarize,
};

export function recolor(pixels: Uint8Array, size: number, steps: readonly ColorStep[]): void {
  for (const { change, amount } of steps) applied[change](pixels, amount, size);
}

export function drawMask(mask: Mask, cut: Cut, size: number, out: Uint8Array): number {
  return resampleNearest(mask.pixels, mask.width, cut, size, out);
}

/** Counts in the drawn view: nothing is left out that the native way might overlook. */
export function countPatches(mask: Mask, cut: Cut, size: number, patch: number): Int32Array {
  const view = new Uint8Array(size * size);
  drawMask(mask, cut, size, view);
  return patchCounts(view, size, size, patch);
}
