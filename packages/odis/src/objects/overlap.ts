import type { Box, SceneObject } from "./object.js";

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
  const other = b.pixels();
  return above(a.pixels().reduce((sum, bit, at) => sum + (bit & other[at]!), 0));
}
