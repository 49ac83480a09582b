import { type Bytes, type Filter, resizePillow } from "../../portable/index.js";
import { resizeOpenCv } from "../resize.js";
import type { Picture } from "../found.js";
import type { Feed } from "./network.js";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const asBytes = ({ width, height, rgb }: Picture): Bytes => ({
  width,
  height,
  channels: 3,
  data: rgb,
});

/** How bytes become the network's numbers: (byte × scale - mean) / deviation, by channel. */
export interface Numbers {
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
  /** OpenCV's order of colours */
  readonly isBgr?: boolean;
}

/** 0..1 */
export const unit: Numbers = { scale: 1 / 255, mean: [0, 0, 0], deviation: [1, 1, 1] };
/** 0..255 */
export const raw: Numbers = { ...unit, scale: 1 };
export const imageNet: Numbers = {
  scale: 1 / 255,
  mean: [0.485, 0.456, 0.406],
  deviation: [0.229, 0.224, 0.225],
};

/**
 * [1, 3, height, width], black (0) right of and below the picture where `size` is larger.
 *
 * @param size default: the picture's
 */
export function planes(
  { width, height, data }: Bytes,
  { scale, mean, deviation, isBgr = false }: Numbers,
  size: Size = { width, height },
): Feed {
  const plane = size.width * size.height;
  const out = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c += 1) {
    const channel = isBgr ? 2 - c : c;
    const table = Float32Array.from(
      { length: 256 },
      (_, byte) => (Math.fround(byte * scale) - mean[c]!) / deviation[c]!,
    );
    for (let y = 0; y < height; y += 1) {
      const from = y * width * 3 + channel;
      const to = c * plane + y * size.width;
      for (let x = 0; x < width; x += 1) out[to + x] = table[data[from + 3 * x]!]!;
    }
  }
  return { type: "float32", data: out, shape: [1, 3, size.height, size.width] };
}

/** Half up, or to the even number where that is as near: Python's `round`. */
export function pythonRound(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** A picture of a uniform colour with another one in it. */
export function pasted(
  image: Bytes,
  { width, height }: Size,
  { left, top }: { readonly left: number; readonly top: number },
  color: number,
): Bytes {
  const data = new Uint8Array(width * height * image.channels).fill(color);
  const row = image.width * image.channels;
  for (let y = 0; y < image.height; y += 1)
    data.set(
      image.data.subarray(y * row, (y + 1) * row),
      ((top + y) * width + left) * image.channels,
    );
  return { width, height, channels: image.channels, data };
}

/** Fits a picture into a size without distorting it, as OpenCV resizes. */
export function shrunkInto(
  picture: Picture,
  ratio: number,
  round: (value: number) => number,
): Bytes {
  const width = Math.max(1, round(picture.width * ratio));
  const height = Math.max(1, round(picture.height * ratio));
  return resizeOpenCv(asBytes(picture), width, height);
}

/**
 * The size at which the shorter side has a length, or the longer one another where it would become
 * longer than that: as DETR's processors compute it.
 */
export function shortestEdge(picture: Size, shortest: number, longest = Infinity): Size {
  const low = Math.min(picture.width, picture.height);
  const high = Math.max(picture.width, picture.height);
  const isTooLong = (high / low) * shortest > longest;
  const exact = isTooLong ? (longest * low) / high : shortest;
  const short = isTooLong ? Math.max(1, pythonRound(exact)) : shortest;
  const { width, height } = picture;
  if ((height <= width && height === short) || (width <= height && width === short)) return picture;
  return width < height
    ? { width: short, height: Math.max(1, Math.trunc((exact * height) / width)) }
    : { width: Math.max(1, Math.trunc((exact * width) / height)), height: short };
}

/** The size at which the longer side has a length, as SAM computes it. */
export function longestEdge({ width, height }: Size, longest: number): Size {
  const scale = longest / Math.max(width, height);
  const side = (length: number) => Math.max(1, Math.trunc(length * scale + 0.5));
  return { width: side(width), height: side(height) };
}

/** Pixels of an input at most: half a gigabyte of numbers. */
const MOST_PIXELS = 1 << 25;

/** A picture of such a form that a network's input for it would need too much memory. */
export class InputTooLarge extends Error {
  constructor({ width, height }: Size) {
    super(`would have to be enlarged to ${width} × ${height} pixels for the network`);
  }
}

/** @throws InputTooLarge */
export function stretched(picture: Picture, { width, height }: Size, filter: Filter): Bytes {
  if (width * height > MOST_PIXELS) throw new InputTooLarge({ width, height });
  return resizePillow(asBytes(picture), width, height, filter);
}
