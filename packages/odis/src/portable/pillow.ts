/** Bytes, row-major, `channels` of a pixel side by side. */
export interface Bytes {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
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

/** Fractional bits of Pillow's weights; 255 × the sum of |weights| still fits 31 bits. */
const BITS = 22;

/** Resizes as Pillow's `Image.resize` does: horizontally, then vertically, rounding in between. */
export function resizePillow(image: Bytes, width: number, height: number, filter: Filter): Bytes {
  const kernel = kernels[filter];
  const wide =
    width === image.width ? image : resizeRows(image, tapsOf(image.width, width, kernel));
  return height === wide.height ? wide : resizeColumns(wide, tapsOf(wide.height, height, kernel));
}

/** For each output its first input and the weights of that one and those after it. */
interface Taps {
  readonly count: number;
  readonly first: Int32Array;
  /** outputs × count */
  readonly weights: Int32Array;
}

function tapsOf(from: number, to: number, { support, at }: Kernel): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const first = new Int32Array(to);
  const lengths = new Int32Array(to);
  for (let i = 0; i < to; i += 1) {
    const center = (i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(center - reach + 0.5));
    lengths[i] = Math.min(from, Math.trunc(center + reach + 0.5)) - first[i]!;
  }
  const count = lengths.reduce((a, b) => Math.max(a, b));
  const weights = new Int32Array(to * count);
  for (let i = 0; i < to; i += 1) {
    const [begin, length] = [first[i]!, lengths[i]!];
    const center = (i + 0.5) * scale;
    const window = Array.from({ length }, (_, k) => at((begin + k - center + 0.5) * (1 / stretch)));
    const total = window.reduce((sum, weight) => sum + weight, 0);
    // A full-length window that would run past the end starts earlier, its extra weights first.
    first[i] = Math.min(begin, from - count);
    const extra = begin - first[i]!;
    for (const [k, weight] of window.entries()) {
      const share = (weight / total) * (1 << BITS);
      weights[i * count + extra + k] = Math.trunc(share + (share < 0 ? -0.5 : 0.5));
    }
  }
  return { count, first, weights };
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

function weighted(data: Uint8Array, from: number, step: number, taps: Taps, output: number) {
  let sum = 1 << (BITS - 1);
  const begin = output * taps.count;
  for (let k = begin, at = from; k < begin + taps.count; k += 1, at += step)
    sum = (sum + Math.imul(taps.weights[k]!, data[at]!)) | 0;
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
