/** Pixels of a mask within its box. */
export interface BoxedMask {
  /** [height × width], row by row, 1 inside */
  readonly values: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Right, down, left, up; the mask lies on the right hand. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/** The pixels before a corner, on the right and on the left hand, from the corner, for each direction. */
const AHEAD = [
  [
    [0, 0],
    [0, -1],
  ],
  [
    [-1, 0],
    [0, 0],
  ],
  [
    [-1, -1],
    [-1, 0],
  ],
  [
    [0, -1],
    [-1, -1],
  ],
] as const;

/**
 * The outline of a mask along the edges of its pixels. COCO's rule for polygons draws the same mask from
 * it.
 *
 * @returns x and y of its corners in turn; undefined for a mask of several parts, or with holes
 */
export function tracedOutline(mask: BoxedMask): readonly number[] | undefined {
  const inside = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < mask.width && y < mask.height && mask.values[y * mask.width + x] === 1;
  const start = mask.values.indexOf(1);
  if (start < 0) return undefined;
  const [x0, y0] = [start % mask.width, Math.floor(start / mask.width)];
  const corners: number[] = [];
  let [x, y, way, walked] = [x0, y0, 0, 0];
  do {
    x += STEPS[way]![0];
    y += STEPS[way]![1];
    walked += 1;
    const [right, left] = AHEAD[way]!;
    const turn = !inside(x + right[0], y + right[1]) ? 1 : inside(x + left[0], y + left[1]) ? 3 : 0;
    if (turn > 0) corners.push(x, y);
    way = (way + turn) % 4;
  } while (x !== x0 || y !== y0 || way !== 0);
  return walked === edges(mask, inside) ? corners : undefined;
}

/** Edges between the mask and what is round it: an outline that has not all of them is not the only one. */
function edges({ width, height }: BoxedMask, inside: (x: number, y: number) => boolean): number {
  let count = 0;
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      if (inside(x, y)) for (const [dx, dy] of STEPS) count += Number(!inside(x + dx, y + dy));
  return count;
}
