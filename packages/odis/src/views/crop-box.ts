import type { Box } from "../objects/object.js";
import type { Rng } from "../rng.js";
import type { CropConfig } from "./config.js";

/** Sizes drawn before the central crop is taken. */
export const SIZE_TRIES = 10;

/**
 * A random crop: area uniform in `scale`, aspect (width over height) log-uniform, position uniform
 * among the places where it fits; the distribution of torchvision's RandomResizedCrop. What does
 * not fit ten times in a row is replaced by the largest central crop of a permitted aspect.
 */
export function drawCropBox(
  width: number,
  height: number,
  { scale, aspect }: Pick<CropConfig, "scale" | "aspect">,
  rng: Rng,
): Box {
  for (let attempt = 0; attempt < SIZE_TRIES; attempt += 1) {
    const area = width * height * rng.uniform(...scale);
    const ratio = Math.exp(rng.uniform(Math.log(aspect[0]), Math.log(aspect[1])));
    const [w, h] = cropSize(area, ratio);
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const y = rng.int(0, height - h);
      return { x: rng.int(0, width - w), y, width: w, height: h };
    }
  }
  return centralCrop(width, height, aspect);
}

/** Whole pixels of a crop of this area and aspect (width over height). */
export function cropSize(area: number, ratio: number): [width: number, height: number] {
  return [Math.round(Math.sqrt(area * ratio)), Math.round(Math.sqrt(area / ratio))];
}

/** The largest crop of a permitted aspect, in the middle. */
export function centralCrop(width: number, height: number, aspect: CropConfig["aspect"]): Box {
  const ratio = Math.min(Math.max(width / height, aspect[0]), aspect[1]);
  const w = Math.min(width, Math.max(1, Math.round(height * ratio)));
  const h = Math.min(height, Math.max(1, Math.round(width / ratio)));
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}
