/**
 * Resizing as other programs do it, byte for byte: detectors were trained behind these, and their
 * scores shift with the pixels. (Views have a native resize of their own, for squares.)
 */

import type { Window } from "./found.js";

/** Bytes, row-major, `channels` of a pixel side by side. */
export interface Bytes {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** A value a pixel, row-major. */
export interface FloatMap {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

interface Kernel {
  /** half the width of its window, pixels */
  readonly support: number;
  readonly at: (x: number) => number;
}

/** Pillow's filters. Windows grow with the factor when shrinking. */
const kernels = {
  bilinear: { support: 1, at: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, at: keys },
  lanczos: { support: 3, at: (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Kernel>;

export type Filter = keyof typeof kernels;

/** Keys' cubic with a = -0.5. */
function keys(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Fractional bits of Pillow's weights. */
const BITS = 22;

/** Resizes as Pillow's `Image.resize` does: horizontally, then vertically, rounding in between. */
export function resizePillow(image: Bytes, width: number, height: number, filter: Filter): Bytes {
  return rowsThenColumns(image, width, height, (from, to) => pillowTaps(from, to, kernels[filter]));
}

/** For each output its first input and the weights of that one and those after it. */
interface Taps {
  readonly count: number;
  readonly first: Int32Array;
  /** outputs × count */
  readonly weights: Int32Array;
}

function pillowTaps(from: number, to: number, { support, at }: Kernel): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const count = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(to);
  const weights = new Int32Array(to * count);
  for (let i = 0; i < to; i += 1) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - reach + 0.5));
    const length = Math.min(from, Math.trunc(center + reach + 0.5)) - begin;
    const window = Array.from({ length }, (_, k) => at((begin + k - center + 0.5) / stretch));
    const total = window.reduce((sum, weight) => sum + weight, 0);
    first[i] = begin;
    for (const [k, weight] of window.entries()) {
      const share = (weight / total) * (1 << BITS);
      weights[i * count + k] = Math.trunc(share + (share < 0 ? -0.5 : 0.5));
    }
  }
  return { count, first, weights };
}

function rowsThenColumns(
  image: Bytes,
  width: number,
  height: number,
  tapsOf: (from: number, to: number) => Taps,
): Bytes {
  const wide = width === image.width ? image : resizeRows(image, tapsOf(image.width, width));
  return height === wide.height ? wide : resizeColumns(wide, tapsOf(wide.height, height));
}

function resizeRows({ width, height, channels, data }: Bytes, taps: Taps): Bytes {
  const to = taps.first.length;
  const out = new Uint8Array(to * height * channels);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < to; x += 1) {
      const from = (y * width + taps.first[x]!) * channels;
      for (let c = 0; c < channels; c += 1, at += 1)
        out[at] = weighted(data, from + c, channels, taps, x);
    }
  }
  return { width: to, height, channels, data: out };
}

function resizeColumns({ width, channels, data }: Bytes, taps: Taps): Bytes {
  const to = taps.first.length;
  const row = width * channels;
  const out = new Uint8Array(to * row);
  for (let y = 0, at = 0; y < to; y += 1)
    for (let x = 0; x < row; x += 1, at += 1)
      out[at] = weighted(data, taps.first[y]! * row + x, row, taps, y);
  return { width, height: to, channels, data: out };
}

/** Weights beyond the window are 0, and so are bytes beyond the image. */
function weighted(data: Uint8Array, from: number, step: number, taps: Taps, output: number) {
  let sum = 1 << (BITS - 1);
  const begin = output * taps.count;
  for (let k = begin, at = from; k < begin + taps.count; k += 1, at += step)
    sum = (sum + Math.imul(taps.weights[k]!, data[at] ?? 0)) | 0;
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Neighbours of each output on one axis, and the second one's share. */
function linearTaps(from: number, to: number, cutShare: boolean) {
  const scale = from / to;
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i += 1) {
    const position = Math.fround((i + 0.5) * scale - 0.5);
    const below = Math.floor(position);
    const inside = below >= 0 && below < from - 1;
    first[i] = Math.min(Math.max(below, 0), from - 1);
    second[i] = Math.min(Math.max(below + 1, 0), from - 1);
    share[i] = inside || !cutShare ? position - below : 0;
  }
  return { first, second, share };
}

/**
 * Resizes as OpenCV's `resize` with `INTER_LINEAR` does on bytes: no antialiasing, weights of 11
 * bits, sums cut to 16 bits on the way.
 */
export function resizeOpenCv(image: Bytes, width: number, height: number): Bytes {
  if (width === image.width && height === image.height) return image;
  const { channels, data } = image;
  const columns = linearTaps(image.width, width, true);
  // Unlike columns, rows beyond the edge keep their shares: both are of the same row.
  const lines = linearTaps(image.height, height, false);
  const fixed = (share: number): [number, number] => [
    roundHalfEven(Math.fround(1 - share) * 2048),
    roundHalfEven(share * 2048),
  ];
  const row = width * channels;
  const wide = new Int32Array(row * image.height);
  for (let x = 0; x < width; x += 1) {
    const [a, b] = fixed(columns.share[x]!);
    const [left, right] = [columns.first[x]! * channels, columns.second[x]! * channels];
    for (let y = 0; y < image.height; y += 1) {
      const from = y * image.width * channels;
      for (let c = 0; c < channels; c += 1)
        wide[y * row + x * channels + c] =
          (a * data[from + left + c]! + b * data[from + right + c]!) >> 4;
    }
  }
  const out = new Uint8Array(row * height);
  for (let y = 0; y < height; y += 1) {
    const [a, b] = fixed(lines.share[y]!);
    const [top, bottom] = [lines.first[y]! * row, lines.second[y]! * row];
    for (let x = 0; x < row; x += 1)
      out[y * row + x] = (((a * wide[top + x]!) >> 16) + ((b * wide[bottom + x]!) >> 16) + 2) >> 2;
  }
  return { width, height, channels, data: out };
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Resizes as PyTorch's `interpolate` does: bilinear, corners not aligned, no antialiasing.
 *
 * @param window computes only this part of the result
 */
export function resizeLinear(
  map: FloatMap,
  width: number,
  height: number,
  window: Window = { x: 0, y: 0, width, height },
): FloatMap {
  if (width === map.width && height === map.height) return cropMap(map, window);
  const columns = torchTaps(map.width, width, window.x, window.width);
  const lines = torchTaps(map.height, height, window.y, window.height);
  const out = new Float32Array(window.width * window.height);
  for (let y = 0, to = 0; y < window.height; y += 1) {
    const [top, bottom] = [lines.first[y]! * map.width, lines.second[y]! * map.width];
    const down = lines.share[y]!;
    for (let x = 0; x < window.width; x += 1, to += 1) {
      const [left, right, share] = [columns.first[x]!, columns.second[x]!, columns.share[x]!];
      const upper = map.data[top + left]! * (1 - share) + map.data[top + right]! * share;
      const lower = map.data[bottom + left]! * (1 - share) + map.data[bottom + right]! * share;
      out[to] = upper * (1 - down) + lower * down;
    }
  }
  return { width: window.width, height: window.height, data: out };
}

/** Of outputs `begin` to `begin + count`. Positions before the first input count as that one. */
function torchTaps(from: number, to: number, begin: number, count: number) {
  const scale = Math.fround(from / to);
  const first = new Int32Array(count);
  const second = new Int32Array(count);
  const share = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    const exact = Math.fround(scale * (begin + i + 0.5));
    const position = Math.max(0, Math.fround(exact - 0.5));
    first[i] = Math.min(Math.floor(position), from - 1);
    second[i] = Math.min(first[i]! + 1, from - 1);
    share[i] = Math.min(1, position - first[i]!);
  }
  return { first, second, share };
}

/** A part of a map. */
export function cropMap(map: FloatMap, { x, y, width, height }: Window): FloatMap {
  if (width === map.width && height === map.height) return map;
  const data = new Float32Array(width * height);
  for (let row = 0; row < height; row += 1) {
    const from = (y + row) * map.width + x;
    data.set(map.data.subarray(from, from + width), row * width);
  }
  return { width, height, data };
}
