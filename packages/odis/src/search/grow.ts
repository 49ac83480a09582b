import { ConfigError } from "../core/index.js";
import type { Sample } from "../data/index.js";
import type { Teacher } from "../features/index.js";
import { objectFromPixels, type SceneObject } from "../objects/index.js";
import { grownPatches, patchAt, patchesMask } from "../portable/index.js";

/**
 * The thing at a point of a picture, by the features of its patches.
 *
 * @throws ConfigError when the point is outside of the picture
 */
export function grow(
  teacher: Pick<Teacher, "patchFeatures" | "width" | "grid">,
  sample: Sample,
  x: number,
  y: number,
): SceneObject {
  const { width, height } = sample;
  if (!(x >= 0 && y >= 0 && x < width && y < height))
    throw new ConfigError(
      `point ${x},${y}: is outside of the picture of ${width} × ${height} pixels`,
    );
  const grid = teacher.grid(sample);
  const start = patchAt(grid, x, y);
  const inside = grownPatches(teacher.patchFeatures(sample), teacher.width, grid.side, start);
  return objectFromPixels(patchesMask(inside, grid, sample), sample);
}
