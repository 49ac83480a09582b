import type { Rng } from "../rng.js";
import type { Box } from "./object.js";
import { boxIou } from "./overlap.js";

/** How near an overlap must be to the wanted one before another direction is not tried. */
const CLOSE = 0.01;
/** Directions tried; small boxes have few neighbours on the pixel grid, the nearest then stays. */
const DIRECTIONS = 40;
/** The farthest step in a direction, in sides of the box. */
const FAR = 64;

/**
 * A box that a poor detector might give for this one: moved and scaled at random, so that their
 * intersection over union is as wanted; within .02 of it wherever the pixel grid allows.
 *
 * A direction is drawn (two shifts in sides of the box, two logarithms of scales, all standard
 * normal), then the step along it by bisection: overlap falls from 1 to nothing on the way. What
 * counts is the box in whole pixels, cut off at the image's edge.
 *
 * @param box not empty, inside the image
 * @param iou wanted, (0, 1]; at 1 the box itself comes back
 */
export function jitterBox(
  box: Box,
  iou: number,
  image: { readonly width: number; readonly height: number },
  rng: Rng,
): Box {
  let best = box;
  for (let tries = 0; tries < DIRECTIONS && error(best, box, iou) > CLOSE; tries += 1) {
    const [dx, dy, sx, sy] = [rng.normal(), rng.normal(), rng.normal(), rng.normal()];
    const at = (step: number): Box => {
      const [x, width] = moved(box.x, box.width, dx * step, sx * step, image.width);
      const [y, height] = moved(box.y, box.height, dy * step, sy * step, image.height);
      return { x, y, width, height };
    };
    for (const end of crossing((step) => boxIou(at(step), box) - iou)) {
      const found = at(end);
      if (error(found, box, iou) < error(best, box, iou)) best = found;
    }
  }
  return best;
}

function error(found: Box, box: Box, iou: number): number {
  return Math.abs(boxIou(found, box) - iou);
}

/** One axis: the interval's middle moved by `shift` of its length, its length times e^scale. */
function moved(
  start: number,
  length: number,
  shift: number,
  scale: number,
  limit: number,
): [start: number, length: number] {
  const middle = start + length * (0.5 + shift);
  const half = (length * Math.exp(scale)) / 2;
  const low = Math.min(limit - 1, Math.max(0, Math.round(middle - half)));
  const high = Math.min(limit, Math.max(low + 1, Math.round(middle + half)));
  return [low, high - low];
}

/** Both sides of a change of sign, close together; nothing when there is none up to {@link FAR}. */
function crossing(excess: (step: number) => number): number[] {
  let high = 1 / FAR;
  while (excess(high) > 0) {
    high *= 2;
    if (high > FAR) return [];
  }
  let low = 0;
  for (let halving = 0; halving < 24; halving += 1) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) low = middle;
    else high = middle;
  }
  return [low, high];
}
