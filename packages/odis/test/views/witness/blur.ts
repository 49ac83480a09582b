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
  const a = new Uint8Array(size + 2 * pad);
  const b = new Uint8Array(size + 2 * pad);
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
