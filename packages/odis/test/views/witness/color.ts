/**
 * The witness of the native photometric changes: in place on a planar 3 × n view of bytes, bit for bit what Pillow and
 * torchvision give (where they compute in float32, `Math.fround` does).
 */

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
