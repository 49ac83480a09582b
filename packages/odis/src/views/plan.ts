import {
  type ColorStep,
  colorChanges,
  type Cut,
  type Picture,
  reducePicture,
} from "@odis/torch/images";
import type { ViewConfig } from "./config.js";

/** How a view is drawn: where it looks in its picture, then how its colours change. */
export interface ViewPlan extends Cut {
  readonly steps: readonly ColorStep[];
}

/** A picture on its way to the device that will draw its views. */
export interface CarriedPicture extends Picture {
  /** Each pixel is the mean of so many columns and rows of the picture that plans speak of. */
  readonly reduced: readonly [columns: number, rows: number];
}

/** Views that are not drawn yet. */
export interface UndrawnViews {
  /** [B] */
  readonly pictures: readonly CarriedPicture[];
  /** [V, B]: that of view v of picture b is `plans[v * B + b]` */
  readonly plans: readonly ViewPlan[];
}

/** Pixels that a reduced picture keeps for each pixel of a view, along each side, where the view is at its finest. */
const KEPT = 2;

/** Side of a square of as many pixels as the largest picture has that travels as it is, whatever the views. */
const MOST_SIDE = 1024;

/**
 * Bytes that a picture may take on its way. Larger ones are reduced to fit ({@link carryPicture}); how large
 * they may be follows from the views alone, so that it belongs to a recipe and not to a machine.
 */
export function roomForPicture({ globals, locals }: ViewConfig): number {
  const sides = [globals, locals].map(({ count, size, scale }) =>
    count > 0 ? (KEPT * size) / Math.sqrt(scale[0]) : 0,
  );
  return 3 * Math.min(MOST_SIDE, Math.ceil(Math.max(...sides))) ** 2;
}

/** Numbers that say what lies in a picture's room: width, height, columns and rows of a mean. */
export const FRAME_NUMBERS = 4;

/**
 * Puts a picture into its room. One that is too large becomes the mean of blocks of pixels, of the least that
 * make it fit, as Pillow's `Image.reduce` does it.
 *
 * @param frame `FRAME_NUMBERS` numbers, overwritten
 */
export function carryPicture(picture: Picture, room: Uint8Array, frame: Int32Array): void {
  let [columns, rows] = [1, 1];
  const sides = () =>
    [Math.ceil(picture.width / columns), Math.ceil(picture.height / rows)] as const;
  const bytes = () => 3 * sides()[0] * sides()[1];
  while (bytes() > room.length)
    if (picture.width * rows >= picture.height * columns) columns += 1;
    else rows += 1;
  frame.set([...sides(), columns, rows]);
  if (columns * rows === 1) room.set(picture.rgb.subarray(0, bytes()));
  else reducePicture(picture, [columns, rows], room.subarray(0, bytes()));
}

/** What {@link carryPicture} has put there; nothing is copied. */
export function carriedPicture(room: Uint8Array, frame: Int32Array): CarriedPicture {
  const [width = 0, height = 0, columns = 1, rows = 1] = frame;
  const rgb = room.subarray(0, 3 * width * height);
  return { width, height, rgb, reduced: [columns, rows] };
}

/** A view has each change at most once. */
const MOST_STEPS = colorChanges.length;

/** Numbers of a plan: box, mirrored or not, how many changes, and which and how much of each. */
export const PLAN_NUMBERS = 6 + 2 * MOST_STEPS;

/** @param row `PLAN_NUMBERS` numbers, overwritten */
export function carryPlan({ box, flip, steps }: ViewPlan, row: Float64Array): void {
  if (steps.length > MOST_STEPS)
    throw new Error(`internal: got a view with ${steps.length} changes of its colours`);
  const changes = steps.flatMap(({ change, amount }) => [colorChanges.indexOf(change), amount]);
  row.set([box.x, box.y, box.width, box.height, Number(flip), steps.length, ...changes]);
}

/** What {@link carryPlan} has written. */
export function carriedPlan(row: Float64Array): ViewPlan {
  const [x = 0, y = 0, width = 0, height = 0, flip = 0, count = 0] = row;
  const steps = Array.from({ length: count }, (_, at): ColorStep => {
    const [change = 0, amount = 0] = row.subarray(6 + 2 * at);
    return { change: colorChanges[change]!, amount };
  });
  return { box: { x, y, width, height }, flip: flip !== 0, steps };
}
