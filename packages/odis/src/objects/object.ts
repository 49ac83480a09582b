import { DataError, show } from "../core/index.js";
import type { Box } from "../portable/index.js";
import { FARTHEST, polygonRle } from "./polygon.js";
import { type Rle, rleShared } from "./rle.js";

export type { Box };

/** One thing in an image, as a pixel mask. A box that came without a mask is a filled mask. */
export interface SceneObject {
  /** Stable within one image: the same object in every view of it. */
  readonly id: number;
  /** Index into the source's classes, or -1 where the class is unknown. */
  readonly label: number;
  /** How sure the detector was that found it, 0..1; missing where people drew it. */
  readonly score?: number;
  /** The polygons that it was drawn with, pixels; missing where its mask came another way. */
  readonly outline?: readonly (readonly number[])[];
  /** Number of mask pixels. */
  readonly area: number;
  /** The smallest box round the mask; all zero for an empty mask. */
  readonly box: Box;
  /** The mask, row-major, height × width, 1 inside; a fresh array at each call. */
  readonly pixels: DrawMask;
}

/**
 * Draws a mask, and has the run lengths that it draws from where it is kept as such: pixels need not be drawn to
 * be counted. They belong to the function, so an object that gets other pixels never keeps old runs.
 */
export interface DrawMask {
  (): Uint8Array;
  readonly runs?: Rle;
}

/**
 * The filled mask of COCO's `[x, y, width, height]` (pixels, fractions allowed), for objects that
 * come without a mask. Rounds as pycocotools rounds boxes: as a polygon of four corners.
 *
 * @throws DataError when it is not four numbers with a positive width and height
 */
export function boxRle(box: unknown, width: number, height: number): Rle {
  const [x, y, w, h] = Array.isArray(box) && box.length === 4 ? box.map(pixelPosition) : [];
  if (
    x === undefined ||
    y === undefined ||
    w === undefined ||
    h === undefined ||
    w <= 0 ||
    h <= 0
  ) {
    throw new DataError(
      `box: got ${show(box)}; wanted [x, y, width, height] in pixels, ` +
        `width and height above 0`,
    );
  }
  return polygonRle([[x, y, x, y + h, x + w, y + h, x + w, y]], width, height);
}

function pixelPosition(value: unknown): number | undefined {
  return typeof value === "number" && Math.abs(value) <= FARTHEST ? value : undefined;
}

/** Whether two boxes share a pixel. */
export function boxesMeet(a: Box, b: Box): boolean {
  return boxIntersection(a, b) > 0;
}

/** Pixels that two boxes share. */
export function boxIntersection(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, width) * Math.max(0, height);
}

/** Intersection over union of two boxes, 0..1; 0 when both are empty. */
export function boxIou(a: Box, b: Box): number {
  const shared = boxIntersection(a, b);
  return shared === 0 ? 0 : shared / (a.width * a.height + b.width * b.height - shared);
}

/**
 * Whether the intersection over union of two masks of one image is above a limit. Masks are drawn
 * only where boxes and areas leave the answer open.
 */
export function overlapAbove(
  a: Pick<SceneObject, "area" | "box" | "pixels">,
  b: Pick<SceneObject, "area" | "box" | "pixels">,
  limit: number,
): boolean {
  const above = (shared: number) => shared > limit * (a.area + b.area - shared);
  if (!above(Math.min(boxIntersection(a.box, b.box), a.area, b.area))) return false;
  const [runs, others] = [a.pixels.runs, b.pixels.runs];
  if (runs && others) return above(rleShared(runs, others));
  const other = b.pixels();
  return above(a.pixels().reduce((sum, bit, at) => sum + (bit & other[at]!), 0));
}
