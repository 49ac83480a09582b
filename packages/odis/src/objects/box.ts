import { DataError } from "../errors.js";
import { FARTHEST, polygonRle } from "./polygon.js";
import type { Rle } from "./rle.js";

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
      `box: got ${JSON.stringify(box)}; wanted [x, y, width, height] in pixels, ` +
        `width and height above 0`,
    );
  }
  return polygonRle([[x, y, x, y + h, x + w, y + h, x + w, y]], width, height);
}

function pixelPosition(value: unknown): number | undefined {
  return typeof value === "number" && Math.abs(value) <= FARTHEST ? value : undefined;
}
