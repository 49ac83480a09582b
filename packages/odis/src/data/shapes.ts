import { DataError, show } from "../core/index.js";
import { FARTHEST, type Frame, rleFromMask } from "../objects/index.js";

/** Corners of the polygon that stands for a curve. */
const CORNERS = 64;

/** x, y, x, y, … of an ellipse. */
export function ellipse(x: number, y: number, radiusX: number, radiusY: number): number[] {
  return Array.from({ length: CORNERS }, (_, at) => (2 * Math.PI * at) / CORNERS).flatMap(
    (angle) => [x + radiusX * Math.cos(angle), y + radiusY * Math.sin(angle)],
  );
}

/** The corners of a rectangle that is turned about its middle, clockwise by an angle in degrees. */
export function turnedBox(
  left: number,
  top: number,
  right: number,
  bottom: number,
  degrees: number,
): number[] {
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ].flatMap(([cornerX = 0, cornerY = 0]) => [
    x + (cornerX - x) * cos - (cornerY - y) * sin,
    y + (cornerX - x) * sin + (cornerY - y) * cos,
  ]);
}

/**
 * [[x, y], …] as x, y, x, y, …
 *
 * @throws DataError when it is something else
 */
export function pairs(points: unknown): number[] {
  if (!Array.isArray(points))
    throw new DataError(`points are ${show(points)}; wanted a list of [x, y]`);
  return points.flatMap((point: unknown, at) => {
    const [x, y, ...more] = Array.isArray(point) ? (point as unknown[]) : [];
    if (!isPosition(x) || !isPosition(y) || more.length > 0)
      throw new DataError(`point ${at + 1} is ${show(point)}; wanted [x, y]`);
    return [x, y];
  });
}

const isPosition = (value: unknown): value is number =>
  typeof value === "number" && Math.abs(value) <= FARTHEST;

/** Pixels of an image above which a mask that was stored as a patch is not drawn while reading. */
const LARGEST = 1e8;

/**
 * Run lengths, over the whole image, of a mask that is stored as a patch of it.
 *
 * @throws DataError when the patch lies outside
 */
export function patchRuns(
  { values, width, height }: Frame & { readonly values: ArrayLike<number> },
  left: number,
  top: number,
  size: Frame,
): Uint32Array {
  const inside = left >= 0 && top >= 0 && left + width <= size.width && top + height <= size.height;
  if (!inside || size.width * size.height > LARGEST)
    throw new DataError(
      `a mask of ${width} × ${height} pixels at ${left}, ${top}; the image is ${size.width} × ${size.height}`,
    );
  const mask = new Uint8Array(size.width * size.height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      mask[(top + y) * size.width + left + x] = values[y * width + x]! > 0 ? 1 : 0;
  return rleFromMask(mask, size.width, size.height).counts;
}
