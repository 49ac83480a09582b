import type { Picture } from "./found.js";

/** Regularisation: colours that vary less than this count as one surface (0..1, squared). */
const EPSILON = 1e-3;

/**
 * Lets a coarse map follow the edges of its picture (guided filter, He, Sun and Tang 2013): in every
 * window the map becomes the linear function of the colours that fits it best.
 *
 * @param map height × width of the picture, row-major
 * @param radius of the windows, pixels
 */
export function guidedFilter(map: Float32Array, picture: Picture, radius: number): Float32Array {
  const { width, height, rgb } = picture;
  const n = width * height;
  const mean = (values: Float32Array): Float32Array => boxMean(values, width, height, radius);
  const channels = [0, 1, 2].map((c) =>
    Float32Array.from({ length: n }, (_, at) => rgb[3 * at + c]! / 255),
  );
  const product = (a: Float32Array, b: Float32Array) => a.map((value, at) => value * b[at]!);

  const means = channels.map(mean);
  const meanMap = mean(map);
  const covariance = channels.map((channel, c) => {
    const together = mean(product(channel, map));
    return together.map((value, at) => value - means[c]![at]! * meanMap[at]!);
  });
  const second = pairs.map(([a, b]) => {
    const together = mean(product(channels[a]!, channels[b]!));
    return together.map((value, at) => value - means[a]![at]! * means[b]![at]!);
  });

  const slopes = [new Float32Array(n), new Float32Array(n), new Float32Array(n)];
  const offset = new Float32Array(n);
  for (let at = 0; at < n; at += 1) {
    const [rr, rg, rb, gg, gb, bb] = second.map((values) => values[at]!);
    const right = covariance.map((values) => values[at]!);
    const solved = solve(
      [rr! + EPSILON, rg!, rb!, gg! + EPSILON, gb!, bb! + EPSILON],
      right as [number, number, number],
    );
    let own = meanMap[at]!;
    for (let c = 0; c < 3; c += 1) {
      slopes[c]![at] = solved[c]!;
      own -= solved[c]! * means[c]![at]!;
    }
    offset[at] = own;
  }
  const smoothSlopes = slopes.map(mean);
  const out = mean(offset);
  for (let c = 0; c < 3; c += 1)
    for (let at = 0; at < n; at += 1) out[at]! += smoothSlopes[c]![at]! * channels[c]![at]!;
  return out;
}

/** Channels of the upper triangle of the covariance matrix, row by row. */
const pairs = [
  [0, 0],
  [0, 1],
  [0, 2],
  [1, 1],
  [1, 2],
  [2, 2],
] as const;

type Symmetric = readonly [number, number, number, number, number, number];

/** Solves a symmetric system of three by Cramer's rule; its diagonal was made positive. */
function solve([a, b, c, d, e, f]: Symmetric, [x, y, z]: readonly [number, number, number]) {
  const [ca, cb, cc] = [d * f - e * e, c * e - b * f, b * e - c * d];
  const determinant = a * ca + b * cb + c * cc;
  return [
    (ca * x + cb * y + cc * z) / determinant,
    (cb * x + (a * f - c * c) * y + (b * c - a * e) * z) / determinant,
    (cc * x + (b * c - a * e) * y + (a * d - b * b) * z) / determinant,
  ] as const;
}

/** Means over square windows, cut off at the picture's edge, by running sums. */
function boxMean(
  values: Float32Array,
  width: number,
  height: number,
  radius: number,
): Float32Array {
  const rows = new Float64Array(values.length);
  for (let y = 0; y < height; y += 1) runningSums(values, rows, y * width, 1, width, radius);
  const sums = new Float64Array(values.length);
  for (let x = 0; x < width; x += 1) runningSums(rows, sums, x, width, height, radius);
  const reach = (at: number, length: number) =>
    Math.min(at + radius, length - 1) - Math.max(at - radius, 0) + 1;
  const out = new Float32Array(values.length);
  for (let y = 0, at = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1, at += 1)
      out[at] = sums[at]! / (reach(x, width) * reach(y, height));
  return out;
}

/** Sums of the neighbours up to `radius` away along one line. */
function runningSums(
  from: ArrayLike<number>,
  to: Float64Array,
  begin: number,
  step: number,
  length: number,
  radius: number,
): void {
  let sum = 0;
  for (let at = 0; at < Math.min(radius, length); at += 1) sum += from[begin + at * step]!;
  for (let at = 0; at < length; at += 1) {
    if (at + radius < length) sum += from[begin + (at + radius) * step]!;
    if (at - radius - 1 >= 0) sum -= from[begin + (at - radius - 1) * step]!;
    to[begin + at * step] = sum;
  }
}
