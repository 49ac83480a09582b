import { fromBuffer } from "@odis/torch";
import { Rng } from "../core/index.js";
import { type BlockDrops, dropRates, keptImages, type Kept } from "../model/index.js";
import type { Recipe } from "../recipe/index.js";

/** Who drops which branch in a pass, one entry a block; undefined for blocks that drop none. */
export type PassDrops = readonly (BlockDrops | undefined)[];

/** Some images of a step. */
export interface StepImages {
  /** counted from 0 */
  readonly step: number;
  /** number of the first of them in the step's whole batch, over all processes */
  readonly first: number;
  readonly images: number;
}

/**
 * Draws dropped branches by name: those of an image follow from the seed, the step and its number in
 * the batch, so that neither pieces of a batch, nor the number of processes, nor a resume change them.
 * (Under the rule `subset` the images of a piece are compared with each other.)
 *
 * @param views of each pass, e.g. global and local
 * @returns one for each pass; undefined when nothing is dropped
 */
export function drawDrops(
  { model, seed }: Recipe,
  { step, first, images }: StepImages,
  views: readonly number[],
  device: string,
): readonly PassDrops[] | undefined {
  const rates = dropRates(model);
  if (rates.every((rate) => rate === 0)) return undefined;
  // [pass][block][branch][view * images + image]
  const uniforms = views.map((V) =>
    rates.map(() => [0, 1].map(() => new Float64Array(V * images))),
  );
  for (let image = 0; image < images; image += 1) {
    const rng = new Rng("drop paths", seed, step, first + image);
    for (const [pass, V] of views.entries())
      for (let view = 0; view < V; view += 1)
        for (const branches of uniforms[pass]!)
          for (const branch of branches) branch[view * images + image] = rng.uniform();
  }
  return uniforms.map((blocks) => onDevice(blocks, rates, model.dropRule, device));
}

function onDevice(
  blocks: readonly (readonly Float64Array[])[],
  rates: readonly number[],
  rule: Recipe["model"]["dropRule"],
  device: string,
): PassDrops {
  const drawn = blocks.flatMap((branches, block) =>
    branches.map((uniforms) => keptImages(uniforms, rates[block]!, rule)),
  );
  const rows = blocks[0]![0]!.length;
  // All of them in two uploads.
  const numbers = BigInt64Array.from(
    drawn.flatMap(({ kept }) => kept),
    BigInt,
  );
  const factors = new Float32Array(drawn.length * rows);
  for (const [at, { kept, scale }] of drawn.entries())
    for (const image of kept) factors[at * rows + image] = scale;
  const images = fromBuffer(numbers, [numbers.length], { device });
  const scales = fromBuffer(factors, [drawn.length, rows], { device });
  let from = 0;
  const branches = drawn.map(({ kept, scale }, at): Kept => {
    const count = kept.length;
    from += count;
    return {
      images: images.narrow(0, from - count, count),
      count,
      scale,
      scales: scales.select(0, at),
    };
  });
  return rates.map((rate, block) =>
    rate === 0
      ? undefined
      : { attention: branches[2 * block]!, feedForward: branches[2 * block + 1]! },
  );
}
