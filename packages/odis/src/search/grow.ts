import { ConfigError } from "../core/index.js";
import type { Sample } from "../data/index.js";
import type { Teacher } from "../features/index.js";
import { objectFromPixels, type SceneObject } from "../objects/index.js";
import { grownMask, OutsidePicture } from "../portable/index.js";

/**
 * The thing at a point of a picture, by the features of its patches.
 *
 * @throws ConfigError when the point is outside of the picture
 */
export function grow(
  teacher: Pick<Teacher, "patchFeatures" | "grid">,
  sample: Sample,
  x: number,
  y: number,
): SceneObject {
  try {
    const features = teacher.patchFeatures(sample);
    return objectFromPixels(grownMask(features, teacher.grid(sample), [x, y], sample), sample);
  } catch (error) {
    throw error instanceof OutsidePicture ? new ConfigError(error.message) : error;
  }
}
