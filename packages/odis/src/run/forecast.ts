import { openSource } from "../data/index.js";
import { scheduleValuesAt, runLength } from "../recipe/index.js";
import { createState, trainOn } from "../train/index.js";
import { openBatches } from "../batches/index.js";
import type { PretrainOptions } from "./pretrain.js";

/**
 * How fast this machine trains a recipe: real steps on real batches with a throw-away network.
 *
 * @param seconds how long to measure, after a few steps of warming up
 * @returns steps per second, waiting for data included
 */
export async function measureSpeed(
  { recipe, data, device }: Pick<PretrainOptions, "recipe" | "data" | "device">,
  seconds: number,
): Promise<number> {
  const source = await openSource(data);
  const length = runLength(recipe, source.size);
  using state = createState(recipe, device);
  const loader = await openBatches(source, recipe, 0, {});
  const warming = 5;
  let began = 0;
  try {
    for (let step = 0; ; step += 1) {
      if (step === warming) began = performance.now();
      const elapsed = (performance.now() - began) / 1000;
      if (step > warming && elapsed >= seconds) return (step - warming) / elapsed;
      trainOn(state, await loader.next(), scheduleValuesAt(recipe, length, step));
    }
  } finally {
    await loader.close();
  }
}
