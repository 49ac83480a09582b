import type { Point } from "./plane-view.js";

/**
 * The object nearest to a place, unless all are far.
 *
 * @param places [objects × 2], units
 * @param scale pixels of a unit, along x and y
 * @param within pixels
 */
export function nearestTo(
  places: Float32Array,
  [x, y]: Point,
  [sx, sy]: Point,
  within: number,
): number | undefined {
  let best: number | undefined;
  let least = within ** 2;
  for (let row = 0; 2 * row < places.length; row += 1) {
    const distance = ((places[2 * row]! - x) * sx) ** 2 + ((places[2 * row + 1]! - y) * sy) ** 2;
    if (distance < least) [best, least] = [row, distance];
  }
  return best;
}

/** Rows of the objects inside of a polygon, in their order. */
export function inside(places: Float32Array, polygon: readonly Point[]): readonly number[] {
  const [left, right] = ends(polygon.map(([x]) => x));
  const [low, high] = ends(polygon.map(([, y]) => y));
  const rows: number[] = [];
  for (let row = 0; 2 * row < places.length; row += 1) {
    const [x, y] = [places[2 * row]!, places[2 * row + 1]!];
    if (x < left || x > right || y < low || y > high) continue;
    if (isInside(x, y, polygon)) rows.push(row);
  }
  return rows;
}

const ends = (values: readonly number[]): readonly [least: number, most: number] => [
  values.reduce((a, b) => Math.min(a, b), Infinity),
  values.reduce((a, b) => Math.max(a, b), -Infinity),
];

/** Whether a ray from a point meets a polygon's edges an odd number of times. */
function isInside(x: number, y: number, polygon: readonly Point[]): boolean {
  let inside = false;
  let [ax, ay] = polygon.at(-1)!;
  for (const [bx, by] of polygon) {
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
    [ax, ay] = [bx, by];
  }
  return inside;
}
