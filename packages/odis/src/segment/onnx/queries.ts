import { cornersOf } from "../boxes.js";
import type { Corners, Picture } from "../found.js";
import type { Feed, Network, Values } from "./network.js";

/** Shares that sum to 1. */
export function softmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

/** Of equal ones the first. */
export function indexOfMost(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index += 1)
    if (values[index]! > values[best]!) best = index;
  return best;
}

/** Row `index` of [1, rows, columns]. */
export function rowOf({ data, shape }: Values, index: number): Float32Array {
  const columns = shape[2]!;
  return data.subarray(index * columns, (index + 1) * columns);
}

/** Boxes [1, queries, 4] of centre and sides, relative to the picture, as its pixels. */
export function absoluteBoxes(boxes: Values, { width, height }: Picture): Corners[] {
  return Array.from({ length: boxes.shape[1]! }, (_, query) => {
    const [x, y, w, h] = rowOf(boxes, query);
    const [x0, y0, x1, y1] = cornersOf(x!, y!, w!, h!);
    return [x0 * width, y0 * height, x1 * width, y1 * height] as const;
  });
}

/**
 * The picture as the first input, and all ones as `pixel_mask` where a network wants to be told
 * that nothing of it is padding.
 */
export function pictureFeeds(network: Network, picture: Feed): Record<string, Feed> {
  const [first, ...others] = network.signature.inputs;
  const feeds: Record<string, Feed> = { [first!.name]: picture };
  for (const { name, type, shape } of others) {
    if (name !== "pixel_mask" || type !== "int64" || shape.length !== 3)
      throw network.unfit(`wants an input "${name}"; wanted a network of pictures alone`);
    const [, rows, columns] = shape;
    const [height, width] = [rows, columns].map((size, at) =>
      typeof size === "number" && size > 0 ? size : picture.shape[2 + at]!,
    );
    const data = new BigInt64Array(height! * width!).fill(1n);
    feeds[name] = { type: "int64", data, shape: [1, height!, width!] };
  }
  return feeds;
}
