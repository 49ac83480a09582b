import { ConfigError, plain } from "../core/index.js";
import { readMask, readPhoto, type Sample } from "../data/index.js";
import type { Teacher } from "../features/index.js";
import { objectFromBox, objectFromPixels, type SceneObject } from "../objects/index.js";
import { grow } from "./grow.js";
import type { PictureQuery } from "./store.js";

/** What is meant in a picture: a box, a point on it, or a mask; none of them: all of it. */
export interface Pointing {
  /** x, y, width, height, pixels of the picture as it is looked at */
  readonly box?: readonly number[] | undefined;
  /** x, y, pixels; the thing there is found by its patches' features */
  readonly point?: readonly number[] | undefined;
  /** a PNG of the picture's size */
  readonly mask?: string | undefined;
}

/**
 * A photograph as a query.
 *
 * @throws ConfigError when nothing is in the box or mask; DataError when a file cannot be read
 */
export async function photoQuery(
  photo: string,
  pointing: Pointing,
  teacher: () => Teacher,
): Promise<PictureQuery> {
  const sample = await readPhoto(photo);
  const given = Object.values(pointing).filter((value) => value !== undefined);
  if (given.length > 1) throw new ConfigError("got several of box, point and mask; wanted one");
  return { sample, object: await pointedAt(sample, pointing, teacher) };
}

async function pointedAt(
  sample: Sample,
  { box, point, mask }: Pointing,
  teacher: () => Teacher,
): Promise<SceneObject | undefined> {
  if (box) return boxIn(sample, box);
  if (point) return grow(teacher(), sample, point[0]!, point[1]!);
  if (mask === undefined) return undefined;
  const object = objectFromPixels(await readMask(mask, sample), sample);
  if (object.area > 0) return object;
  throw new ConfigError(
    `mask ${plain(mask)}: every pixel is 0; wanted the object's to be something else`,
  );
}

/** @throws ConfigError when no pixel of the picture is in the box */
export function boxIn(sample: Sample, box: readonly number[]): SceneObject {
  const object = objectFromBox(box, sample);
  if (object.area > 0) return object;
  throw new ConfigError(
    `box ${box.join(",")}: is outside of the picture of ${sample.width} × ${sample.height} pixels`,
  );
}
