import { fromBuffer, type Tensor, tensor } from "@odis/torch";
import type { Pixels } from "../data/batch.js";

/** Mean and deviation of ImageNet's RGB channels on a 0..1 scale: what every recipe normalises by. */
export const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/**
 * Pixels to network input.
 *
 * @param pixels [B, 3, H, W]; floats are taken as they are
 * @returns [B, 3, H, W] float32, (x / 255 - mean) / std per channel
 */
export function normalise(pixels: Pixels, shape: readonly number[], device = "cpu"): Tensor {
  if (pixels instanceof Float32Array) return fromBuffer(pixels, shape).to({ device });
  const perChannel = (values: readonly number[]): Tensor =>
    tensor(Float32Array.from(values), [1, 3, 1, 1], { device });
  const bytes = fromBuffer(pixels, shape).to({ device });
  return bytes
    .float()
    .mul_(perChannel(imageNet.std.map((std) => 1 / (255 * std))))
    .sub_(perChannel(imageNet.mean.map((mean, c) => mean / imageNet.std[c]!)));
}
