import type { Corners } from "./found.js";

/**
 * Centre, width and height as corners, rounded to 32 bits as everybody computes it: where a mask is
 * cut off at its box, a corner's last bit decides over a row of pixels.
 */
export function cornersOf(x: number, y: number, width: number, height: number): Corners {
  const { fround } = Math;
  const [w, h] = [fround(width / 2), fround(height / 2)];
  return [fround(x - w), fround(y - h), fround(x + w), fround(y + h)];
}

export function clipCorners(
  [x0, y0, x1, y1]: Corners,
  { width, height }: { readonly width: number; readonly height: number },
): Corners {
  const clip = (value: number, limit: number) => Math.min(Math.max(value, 0), limit);
  return [clip(x0, width), clip(y0, height), clip(x1, width), clip(y1, height)];
}

/** Intersection over union; 0 for boxes without area. */
export function cornersIou(a: Corners, b: Corners): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(0, width) * Math.max(0, height);
  return shared === 0 ? 0 : shared / (areaOf(a) + areaOf(b) - shared);
}

function areaOf([x0, y0, x1, y1]: Corners): number {
  return (x1 - x0) * (y1 - y0);
}

/** Indices from the highest score down; of equal ones the first comes first. */
export function byScore(scores: ArrayLike<number>): number[] {
  const order = Array.from({ length: scores.length }, (_, index) => index);
  return order.toSorted((a, b) => scores[b]! - scores[a]!);
}

export interface Suppression {
  /** boxes that overlap more with a better one are dropped */
  readonly overlap: number;
  /** so many at most */
  readonly most: number;
  /** boxes of different groups do not suppress each other; without it all are of one group */
  readonly groups?: ArrayLike<number>;
}

/**
 * Non-maximum suppression.
 *
 * @returns indices of what stays, the highest score first
 */
export function suppress(
  boxes: readonly Corners[],
  scores: ArrayLike<number>,
  { overlap, most, groups }: Suppression,
): number[] {
  const kept: number[] = [];
  for (const index of byScore(scores)) {
    if (kept.length >= most) break;
    const isFree = kept.every(
      (better) =>
        (groups && groups[better] !== groups[index]) ||
        cornersIou(boxes[better]!, boxes[index]!) <= overlap,
    );
    if (isFree) kept.push(index);
  }
  return kept;
}
