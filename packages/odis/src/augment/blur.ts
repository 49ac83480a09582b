import { arange, fromBuffer, type Tensor, zeros } from "@odis/torch";
import { toBytes } from "./resample.js";

/** Box passes along each axis. */
const PASSES = 3;

/**
 * Pillow's Gaussian blur: three box passes along rows, three down columns, edge pixels repeated outwards.
 *
 * @param x [n, 3, S, S] float32, whole numbers 0..255
 * @param radii [n], standard deviations, pixels, greater than 0
 * @returns the like of `x`
 */
export function blur(x: Tensor, radii: readonly number[]): Tensor {
  const [n, , S] = x.dims(4);
  const box = boxMatrices(radii, S, x.device);
  let lines = x.reshape([n, 3 * S, S]);
  const turned = box.transpose(1, 2);
  for (let pass = 0; pass < PASSES; pass += 1) lines = toBytes(lines.bmm(turned));
  let columns = lines
    .reshape([n, 3, S, S])
    .permute([0, 2, 1, 3])
    .reshape([n, S, 3 * S]);
  for (let pass = 0; pass < PASSES; pass += 1) columns = toBytes(box.bmm(columns));
  return columns.reshape([n, S, 3, S]).permute([0, 2, 1, 3]).contiguous();
}

/** One box pass as a matrix for each radius: [n, S, S]. */
function boxMatrices(radii: readonly number[], S: number, device: string): Tensor {
  const n = radii.length;
  const boxes = radii.map(boxOf);
  const reach = Math.max(...boxes.map((box) => box.reach)) + 1;
  const D = 2 * reach + 1;
  const weights = boxes.flatMap((box) =>
    Array.from({ length: D }, (_, at) => {
      const away = Math.abs(at - reach);
      return away <= box.reach ? box.inner : away === box.reach + 1 ? box.outer : 0;
    }),
  );
  const weight = fromBuffer(Float32Array.from(weights), [n, 1, D], { device }).expand([n, S, D]);
  const rows = arange(S, { device }).reshape([1, S, 1]);
  const index = rows
    .add(arange(-reach, reach + 1, 1, { device }))
    .clamp_(0, S - 1)
    .expand([n, S, D]);
  // Whole multiples of 2^-24 that sum to 1 at most: floats add them up without rounding.
  return zeros([n, S, S], { device }).scatterAdd(2, index, weight);
}

/**
 * The box of which three passes have the Gaussian's variance, as Pillow computes it: doubles are rounded to
 * floats where it does.
 */
function boxOf(radius: number) {
  const f = Math.fround;
  const sigma = f(radius);
  const variance = f(f(sigma * sigma) / PASSES);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = Math.floor((length - 1) / 2);
  const above = f((2 * whole + 1) * f(f(whole * (whole + 1)) - f(3 * variance)));
  const below = f(6 * f(variance - (whole + 1) * (whole + 1)));
  const exact = f(whole + f(above / below));
  const reach = Math.floor(exact);
  const inner = Math.floor(f(2 ** 24 / f(f(exact * 2) + 1)));
  const outer = (2 ** 24 - (2 * reach + 1) * inner) >> 1;
  return { reach, inner: inner / 2 ** 24, outer: outer / 2 ** 24 };
}
