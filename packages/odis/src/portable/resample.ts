import type { Cut, Picture } from "@odis/torch/images";

/** Fractional bits of a filter weight; 255 × the sum of |weights| still fits 31 bits. */
const BITS = 22;
const HALF = 1 << (BITS - 1);

/** Filter of one axis: output i is the weighted sum of inputs first[i] .. first[i] + taps - 1. */
interface Filter {
  readonly taps: number;
  readonly first: Int32Array;
  /** outputs × taps, fixed point with 22 fractional bits; zero where a window is shorter */
  readonly weights: Int32Array;
}

/**
 * Cuts the box out, then resizes the cut-out to size × size (nothing from outside the box leaks
 * in), then mirrors it: bit for bit what the antialiased bicubic of Pillow 9.4 gives (13.0 differs
 * in places).
 *
 * @param out planar, 3 × size × size, overwritten
 */
export function resampleBicubic(
  picture: Pick<Picture, "width" | "rgb">,
  view: Cut,
  size: number,
  out: Uint8Array,
): void {
  const { width, height } = view.box;
  const rows = new Uint8Array(height * size * 3);
  horizontalPass(picture, view, size, makeFilter(width, size), rows);
  verticalPass(rows, size, makeFilter(height, size), out);
}

/** Image rows of the box -> rows [height, size, 3], mirrored on the way. */
function horizontalPass(
  { rgb, width: stride }: Pick<Picture, "width" | "rgb">,
  { box, flip }: Cut,
  size: number,
  { taps, first, weights }: Filter,
  rows: Uint8Array,
): void {
  const step = flip ? -3 : 3;
  let row = flip ? 3 * (size - 1) : 0;
  for (let y = box.y; y < box.y + box.height; y += 1, row += 3 * size) {
    const begin = 3 * (y * stride + box.x);
    let to = row;
    let k = 0;
    for (let x = 0; x < size; x += 1, to += step) {
      let from = begin + 3 * first[x]!;
      let r = HALF;
      let g = HALF;
      let b = HALF;
      for (const end = k + taps; k < end; k += 1, from += 3) {
        const weight = weights[k]!;
        r = (r + Math.imul(weight, rgb[from]!)) | 0;
        g = (g + Math.imul(weight, rgb[from + 1]!)) | 0;
        b = (b + Math.imul(weight, rgb[from + 2]!)) | 0;
      }
      rows[to] = clip(r >> BITS);
      rows[to + 1] = clip(g >> BITS);
      rows[to + 2] = clip(b >> BITS);
    }
  }
}

/** Rows [height, size, 3] -> planar [3, size, size]. */
function verticalPass(
  rows: Uint8Array,
  size: number,
  { taps, first, weights }: Filter,
  out: Uint8Array,
): void {
  const length = 3 * size;
  const plane = size * size;
  for (let y = 0, k0 = 0; y < size; y += 1, k0 += taps) {
    const begin = first[y]! * length;
    const end = k0 + taps;
    for (let x = 0, to = y * size; x < size; x += 1, to += 1) {
      let from = begin + 3 * x;
      let r = HALF;
      let g = HALF;
      let b = HALF;
      for (let k = k0; k < end; k += 1, from += length) {
        const weight = weights[k]!;
        r = (r + Math.imul(weight, rows[from]!)) | 0;
        g = (g + Math.imul(weight, rows[from + 1]!)) | 0;
        b = (b + Math.imul(weight, rows[from + 2]!)) | 0;
      }
      out[to] = clip(r >> BITS);
      out[to + plane] = clip(g >> BITS);
      out[to + 2 * plane] = clip(b >> BITS);
    }
  }
}

function clip(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Pillow's weights: windows of ±2 output pixels (±2 input pixels when enlarging), rounded. */
function makeFilter(from: number, to: number): Filter {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const starts = new Int32Array(to);
  const lengths = new Int32Array(to);
  for (let i = 0; i < to; i += 1) {
    const center = (i + 0.5) * scale;
    starts[i] = Math.max(0, Math.trunc(center - support + 0.5));
    lengths[i] = Math.min(from, Math.trunc(center + support + 0.5)) - starts[i]!;
  }
  const taps = Math.max(...lengths);
  const weights = new Int32Array(to * taps);
  for (let i = 0; i < to; i += 1) {
    const center = (i + 0.5) * scale;
    const length = lengths[i]!;
    const window = new Float64Array(length);
    let total = 0;
    for (let k = 0; k < length; k += 1) {
      window[k] = bicubic((starts[i]! + k - center + 0.5) * (1 / stretch));
      total += window[k]!;
    }
    // A full-length window that would run past the end starts earlier, its extra weights first.
    const first = Math.min(starts[i]!, from - taps);
    const extra = starts[i]! - first;
    starts[i] = first;
    for (let k = 0; k < length; k += 1) {
      const share = (window[k]! / total) * (1 << BITS);
      weights[i * taps + extra + k] = Math.trunc(share + (share < 0 ? -0.5 : 0.5));
    }
  }
  return { taps, first: starts, weights };
}

/** Keys' cubic with a = -0.5. */
function bicubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

/**
 * A mask under the same cut, resize and mirroring, by nearest neighbour.
 *
 * @param mask height × width of the image, 0/1
 * @param out size × size, overwritten
 * @returns how many pixels of the view are set
 */
export function resampleNearest(
  mask: Uint8Array,
  stride: number,
  { box, flip }: Cut,
  size: number,
  out: Uint8Array,
): number {
  const xs = nearest(box.x, box.width, size);
  const ys = nearest(box.y, box.height, size);
  if (flip) xs.reverse();
  let count = 0;
  for (let y = 0, to = 0; y < size; y += 1) {
    const row = ys[y]! * stride;
    for (let x = 0; x < size; x += 1, to += 1) {
      const bit = mask[row + xs[x]!]!;
      out[to] = bit;
      count += bit;
    }
  }
  return count;
}

/**
 * For each output the input that holds its middle. The position is summed up step by step, not
 * multiplied: where a middle lies on the border of two pixels, Pillow's rounding decides.
 */
function nearest(start: number, from: number, to: number): Int32Array {
  const indices = new Int32Array(to);
  const step = from / to;
  let position = step * 0.5;
  for (let i = 0; i < to; i += 1) {
    indices[i] = start + Math.trunc(position);
    position += step;
  }
  return indices;
}
