import { Scratch } from "./scratch.js";

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

const lines = new Scratch((length) => new Uint8Array(length));
const plane = new Scratch((length) => new Uint8Array(length));
const totals = new Scratch((length) => new Int32Array(length));

/**
 * Gaussian blur by three box passes per axis, in place on a planar 3 × size × size view, bit for
 * bit Pillow's; edge pixels are repeated outwards.
 *
 * @param radius standard deviation, pixels
 */
export function blur(pixels: Uint8Array, size: number, radius: number): void {
  const kernel = boxKernel(radius);
  const other = plane.take(size * size);
  for (let channel = 0; channel < 3; channel += 1) {
    const own = pixels.subarray(channel * size * size, (channel + 1) * size * size);
    blurRows(own, other, size, kernel);
    boxColumns(other, own, size, kernel);
    boxColumns(own, other, size, kernel);
    boxColumns(other, own, size, kernel);
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
  const reach = Math.trunc(exact);
  const inner = Math.trunc(f(2 ** 24 / f(f(exact * 2) + 1)));
  return { reach, inner, outer: Math.trunc((2 ** 24 - (2 * reach + 1) * inner) / 2) };
}

/** All passes along every row; `to` gets the result, `from` is left as it was. */
function blurRows(from: Uint8Array, to: Uint8Array, size: number, kernel: BoxKernel): void {
  const { reach, inner, outer } = kernel;
  const pad = reach + 1;
  const line = lines.take(size + 2 * pad); // the row with its edge pixels repeated
  for (let row = 0; row < size * size; row += size) {
    let source = from;
    for (let pass = 0; pass < PASSES; pass += 1) {
      line.fill(source[row]!, 0, pad);
      line.fill(source[row + size - 1]!, pad + size, size + 2 * pad);
      for (let x = 0; x < size; x += 1) line[pad + x] = source[row + x]!;
      let total = 0;
      for (let x = 0; x < 2 * reach; x += 1) total += line[x + 1]!;
      for (let x = 0; x < size; x += 1) {
        total += line[x + 2 * reach + 1]!;
        const ends = line[x]! + line[x + 2 * pad]!;
        to[row + x] = (Math.imul(total, inner) + Math.imul(ends, outer) + HALF) >>> 24;
        total -= line[x + 1]!;
      }
      source = to;
    }
  }
}

/** One pass down all columns at once, row by row: neighbours in memory stay neighbours. */
function boxColumns(from: Uint8Array, to: Uint8Array, size: number, kernel: BoxKernel): void {
  const { reach, inner, outer } = kernel;
  const total = totals.take(size);
  const row = (y: number) => Math.min(Math.max(y, 0), size - 1) * size;
  total.fill(0);
  for (let y = -reach; y < reach; y += 1) {
    for (let x = 0, at = row(y); x < size; x += 1, at += 1) total[x]! += from[at]!;
  }
  for (let y = 0; y < size; y += 1) {
    let [first, last] = [row(y - reach), row(y + reach)];
    let [before, after] = [row(y - reach - 1), row(y + reach + 1)];
    for (let x = 0, at = y * size; x < size; x += 1, at += 1) {
      const sum = total[x]! + from[last + x]!;
      const ends = from[before + x]! + from[after + x]!;
      to[at] = (Math.imul(sum, inner) + Math.imul(ends, outer) + HALF) >>> 24;
      total[x] = sum - from[first + x]!;
    }
  }
}
