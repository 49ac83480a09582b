import { Scratch } from "./resample.js";
import type { Rng } from "../core/index.js";
import type { ColorConfig } from "./config.js";

/**
 * Photometric changes, in place on a planar 3 × n view of bytes, bit for bit what Pillow and
 * torchvision give (where they compute in float32, `Math.fround` does).
 */

/** The four steps of a colour jitter. */
export type JitterStep = "brightness" | "contrast" | "saturation" | "hue";

export const jitterSteps: readonly JitterStep[] = ["brightness", "contrast", "saturation", "hue"];

/** @param amount a factor (1 leaves the view as it is), for hue the turn in [-.5, .5] */
export function jitter(pixels: Uint8Array, step: JitterStep, amount: number): void {
  if (step === "brightness") brightness(pixels, amount);
  else if (step === "contrast") contrast(pixels, amount);
  else if (step === "saturation") saturation(pixels, amount);
  else hue(pixels, amount);
}

/** Scales towards or away from black. */
export function brightness(pixels: Uint8Array, factor: number): void {
  replace(pixels, blendTable(0, factor));
}

/** Scales towards or away from the view's mean lightness. */
export function contrast(pixels: Uint8Array, factor: number): void {
  const n = pixels.length / 3;
  let sum = 0;
  for (let i = 0; i < n; i += 1) {
    sum += lightness(pixels[i]!, pixels[i + n]!, pixels[i + 2 * n]!);
  }
  replace(pixels, blendTable(Math.trunc(sum / n + 0.5), factor));
}

/** Scales towards or away from each pixel's lightness. */
export function saturation(pixels: Uint8Array, factor: number): void {
  const n = pixels.length / 3;
  const f = Math.fround(factor);
  for (let i = 0; i < n; i += 1) {
    const r = pixels[i]!;
    const g = pixels[i + n]!;
    const b = pixels[i + 2 * n]!;
    const base = lightness(r, g, b);
    pixels[i] = blend(base, f, r);
    pixels[i + n] = blend(base, f, g);
    pixels[i + 2 * n] = blend(base, f, b);
  }
}

/** For each 8-bit hue its sixth of the colour circle, and the position within the sixth. */
const sixth = Uint8Array.from({ length: 256 }, (_, h) => Math.floor((h * 6) / 255) % 6);
const within = Float32Array.from(
  { length: 256 },
  (_, h) => (h * 6) / 255 - Math.floor((h * 6) / 255),
);
const unit = Float32Array.from({ length: 256 }, (_, s) => s / 255);
/** For each sixth the channel (0 red, 1 green, 2 blue) that is largest, between, smallest. */
const largest = Uint8Array.of(0, 1, 1, 2, 2, 0);
const between = Uint8Array.of(1, 0, 2, 1, 0, 2);
const smallest = Uint8Array.of(2, 2, 0, 0, 1, 1);

/** Turns the colour circle through 8-bit hue, saturation and value; lossy even at 0, as published. */
export function hue(pixels: Uint8Array, turn: number): void {
  const n = pixels.length / 3;
  const shift = Math.trunc(turn * 255) & 255;
  for (let i = 0; i < n; i += 1) {
    const r = pixels[i]!;
    const g = pixels[i + n]!;
    const b = pixels[i + 2 * n]!;
    const value = Math.max(r, g, b);
    const range = value - Math.min(r, g, b);
    if (range === 0) continue;
    const s = Math.trunc(Math.fround(range / value) * 255);
    if (s === 0) {
      pixels[i] = pixels[i + n] = pixels[i + 2 * n] = value;
      continue;
    }
    const h = (hueOf(r, g, b, value, range) + shift) & 255;

    const k = sixth[h]!;
    const fs = unit[s]!;
    const f = within[h]!;
    const rest = k & 1 ? Math.fround(fs * f) : fs * (1 - f); // rounded where Pillow rounds
    pixels[i + n * largest[k]!] = value;
    pixels[i + n * between[k]!] = value * (1 - rest) + 0.5;
    pixels[i + n * smallest[k]!] = value * (1 - fs) + 0.5;
  }
}

/** 8-bit hue of a colour whose largest channel is `value` and whose channels span `range` > 0. */
function hueOf(r: number, g: number, b: number, value: number, range: number): number {
  const below = (channel: number) => Math.fround((value - channel) / range);
  let h: number;
  if (r === value) h = Math.fround(below(b) - below(g));
  else if (g === value) h = Math.fround(2 + below(r) - below(b));
  else h = Math.fround(4 + below(g) - below(r));
  const turns = h / 6 + 1;
  return Math.trunc(Math.fround(turns >= 1 ? turns - 1 : turns) * 255);
}

/** All three channels become the lightness. */
export function grayscale(pixels: Uint8Array): void {
  const n = pixels.length / 3;
  for (let i = 0; i < n; i += 1) {
    const value = lightness(pixels[i]!, pixels[i + n]!, pixels[i + 2 * n]!);
    pixels[i] = pixels[i + n] = pixels[i + 2 * n] = value;
  }
}

/** Inverts what is at least as bright as the threshold. */
export function solarize(pixels: Uint8Array, threshold = 128): void {
  replace(
    pixels,
    Uint8Array.from({ length: 256 }, (_, v) => (v < threshold ? v : 255 - v)),
  );
}

/** ITU-R 601 luma with 16 fractional bits. */
function lightness(r: number, g: number, b: number): number {
  return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
}

/** What each byte becomes, built in place: a worker does this several times a view. */
const table = new Uint8Array(256);

function blendTable(base: number, factor: number): Uint8Array {
  const f = Math.fround(factor);
  for (let v = 0; v < 256; v += 1) table[v] = blend(base, f, v);
  return table;
}

function replace(pixels: Uint8Array, table: Uint8Array): void {
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = table[pixels[i]!]!;
}

/** base + factor × (value - base) in float32, cut to 0..255; the byte array drops the fraction. */
function blend(base: number, factor: number, value: number): number {
  const blended = Math.fround(base + Math.fround(factor * (value - base)));
  return blended <= 0 ? 0 : blended >= 255 ? 255 : blended;
}

/** One box pass: its whole reach and its weights, fixed point with 24 fractional bits. */
interface BoxKernel {
  readonly reach: number;
  /** of the 2·reach + 1 pixels in the middle */
  readonly inner: number;
  /** of the two pixels beyond them */
  readonly outer: number;
}

const PASSES = 3;
const HALF = 1 << 23;

const lineA = new Scratch((length) => new Uint8Array(length));
const lineB = new Scratch((length) => new Uint8Array(length));

/**
 * Gaussian blur by three box passes per axis, in place on a planar 3 × size × size view, bit for
 * bit Pillow's; edge pixels are repeated outwards.
 *
 * @param radius standard deviation, pixels
 */
export function blur(pixels: Uint8Array, size: number, radius: number): void {
  const kernel = boxKernel(radius);
  for (let row = 0; row < pixels.length; row += size) blurLine(pixels, row, 1, size, kernel);
  for (let plane = 0; plane < pixels.length; plane += size * size) {
    for (let x = 0; x < size; x += 1) blurLine(pixels, plane + x, size, size, kernel);
  }
}

/** The box of which three passes have the Gaussian's variance; its width need not be whole. */
function boxKernel(radius: number): BoxKernel {
  const f = Math.fround;
  const variance = f(f(f(radius) * f(radius)) / PASSES);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = Math.floor((length - 1) / 2);
  const above = f((2 * whole + 1) * f(f(whole * (whole + 1)) - f(3 * variance)));
  const below = f(6 * f(variance - (whole + 1) * (whole + 1)));
  const exact = f(whole + f(above / below));
  const reach = exact | 0;
  const inner = f(2 ** 24 / f(f(exact * 2) + 1)) | 0;
  const outer = (2 ** 24 - (2 * reach + 1) * inner) >> 1;
  return { reach, inner, outer };
}

/** All passes over one row or column, in place: its pixels are at start, start + step, ... */
function blurLine(
  pixels: Uint8Array,
  start: number,
  step: number,
  size: number,
  kernel: BoxKernel,
): void {
  const pad = kernel.reach + 1;
  const a = lineA.take(size + 2 * pad);
  const b = lineB.take(size + 2 * pad);
  for (let x = 0, at = start; x < size; x += 1, at += step) a[pad + x] = pixels[at]!;
  boxPass(a, b, pad, 1, size, kernel);
  boxPass(b, a, pad, 1, size, kernel);
  boxPass(a, pixels, start, step, size, kernel);
}

/** One pass; `line` has its pixels from reach + 1 on, and room for as many repeated edge pixels. */
function boxPass(
  line: Uint8Array,
  to: Uint8Array,
  start: number,
  step: number,
  size: number,
  { reach, inner, outer }: BoxKernel,
): void {
  const pad = reach + 1;
  const first = line[pad]!;
  const last = line[pad + size - 1]!;
  for (let x = 0; x < pad; x += 1) {
    line[x] = first;
    line[pad + size + x] = last;
  }
  let total = 0; // of the 2·reach pixels that the window keeps when it moves on
  for (let x = 1; x <= 2 * reach; x += 1) total += line[x]!;
  for (let x = 0, at = start; x < size; x += 1, at += step) {
    total += line[x + 2 * reach + 1]!;
    const ends = line[x]! + line[x + 2 * pad]!;
    const sum = (Math.imul(total, inner) + Math.imul(ends, outer)) | 0;
    to[at] = (sum + HALF) >>> 24;
    total -= line[x + 1]!;
  }
}

/** Which of the method's three colour chains a view goes through. */
export type ViewKind = "first" | "other" | "local";

/**
 * Changes a view's colours at random, in place, in the published order: jitter (its four steps in
 * random order), grey, blur, solarise.
 *
 * @param pixels planar, 3 × size × size
 */
export function changeColors(
  pixels: Uint8Array,
  size: number,
  config: ColorConfig,
  kind: ViewKind,
  rng: Rng,
): void {
  if (rng.bool(config.jitter.p)) {
    for (const index of rng.permutation(jitterSteps.length)) {
      const step = jitterSteps[index]!;
      const strength = config.jitter[step];
      const neutral = step === "hue" ? 0 : 1;
      if (strength > 0) {
        jitter(pixels, step, rng.uniform(neutral - strength, neutral + strength));
      }
    }
  }
  if (rng.bool(config.gray)) grayscale(pixels);
  const [first, other, local] = config.blur.p;
  const blurs = { first, other, local };
  if (rng.bool(blurs[kind])) blur(pixels, size, rng.uniform(...config.blur.radius));
  if (kind === "other" && rng.bool(config.solarize)) solarize(pixels);
}
