/**
 * Resizing as OpenCV and PyTorch do it: detectors were trained behind these, and their
 * scores shift with the pixels. (Views have a native resize of their own, for squares.)
 */

import type { Bytes } from "../portable/index.js";
import type { Window } from "./found.js";

/** A value a pixel, row-major. */
export interface FloatMap {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
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
