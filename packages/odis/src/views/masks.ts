import type { Sample } from "../data/sample.js";
import { boxRle } from "../objects/box.js";
import { jitterBox } from "../objects/jitter.js";
import type { Box, SceneObject } from "../objects/object.js";
import { rleObject } from "../objects/rle.js";
import { Rng } from "../rng.js";
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
  const { kind, iou, missing, false: spurious, seed } = masks;
  if (kind === "none") return { ...sample, objects: [] };
  if (kind === "truth" && missing === 0 && spurious === 0) return sample;

  const stream = (...what: (string | number)[]) => new Rng("masks", seed, sample.key, ...what);
  const filled = (id: number, label: number, { x, y, width, height }: Box): SceneObject =>
    rleObject(id, label, boxRle([x, y, width, height], sample.width, sample.height));

  const overlooked = stream("missing");
  const found = sample.objects.flatMap((object, index) => {
    if (overlooked.bool(missing)) return [];
    if (kind === "truth" || object.area === 0) return [object];
    const box = jitterBox(object.box, iou, sample, stream("box", index));
    return [filled(object.id, object.label, box)];
  });
  const rng = stream("false");
  const imagined = Array.from({ length: poisson(spurious, rng) }, (_, index) =>
    filled(-1 - index, -1, drawCropBox(sample.width, sample.height, FALSE_BOXES, rng)),
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
