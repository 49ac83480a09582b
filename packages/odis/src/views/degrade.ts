import type { Sample } from "../data/index.js";
import {
  type Box,
  boxIou,
  boxRle,
  type ObjectFacts,
  objectFromRuns,
  type SceneObject,
} from "../objects/index.js";
import { Rng } from "../core/index.js";
import type { MaskConfig } from "./config.js";
import { drawCropBox } from "./crop-box.js";

/** False boxes: shares of the image like those of real objects, neither slivers nor whole scenes. */
const FALSE_BOXES = { scale: [0.01, 0.25], aspect: [1 / 2, 2] } as const;

/**
 * The sample as a detector of this quality would give it: masks replaced by boxes, boxes displaced,
 * objects missing, false ones added. Everything follows from `masks.seed` and the sample's key, so
 * that training, evaluation and a resumed run see the same mistakes. Each kind of mistake has a
 * stream of its own: an object that is missing at 10 % is missing at 50 %, too, and moves no box.
 *
 * @returns the sample itself when nothing is to be changed; true objects keep id and label, false
 *   ones have negative ids and label -1
 */
export function degradeObjects(sample: Sample, masks: MaskConfig): Sample {
  const { kind, iou, missing, minScore, false: spurious, seed } = masks;
  if (kind === "none") return { ...sample, objects: [] };
  if (kind === "truth" && missing === 0 && minScore === 0 && spurious === 0) return sample;

  const stream = (...what: (string | number)[]) => new Rng("masks", seed, sample.key, ...what);
  const filled = (facts: ObjectFacts, { x, y, width, height }: Box): SceneObject =>
    objectFromRuns(boxRle([x, y, width, height], sample.width, sample.height), facts);

  const overlooked = stream("missing");
  const found = sample.objects.flatMap((object, index) => {
    if (overlooked.bool(missing) || (object.score ?? 1) < minScore) return [];
    if (kind === "truth" || object.area === 0) return [object];
    const box = jitterBox(object.box, iou, sample, stream("box", index));
    return [filled(object, box)];
  });
  const rng = stream("false");
  const imagined = Array.from({ length: poisson(spurious, rng) }, (_, index) =>
    filled({ id: -1 - index }, drawCropBox(sample.width, sample.height, FALSE_BOXES, rng)),
  );
  return { ...sample, objects: [...found, ...imagined] };
}

/** How many events of a rare kind: as many uniform factors as keep the product above e^-mean. */
function poisson(mean: number, rng: Rng): number {
  const floor = Math.exp(-mean);
  let count = 0;
  for (let product = rng.uniform(); product > floor; product *= rng.uniform()) count += 1;
  return count;
}

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
