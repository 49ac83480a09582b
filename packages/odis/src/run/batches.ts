import type { Loader } from "../data/loader.js";
import type { OpenSource } from "../data/source.js";
import type { Recipe } from "../train/recipe.js";
import { openViewLoader } from "../views/loader.js";

/** Settings that change no numbers unless images turn out unusable. */
export interface LoadingOptions {
  /** data threads; default: one per core */
  readonly workers?: number;
  /** share of the images that may turn out unusable before the run ends; default .05 */
  readonly maxBad?: number;
}

/** A recipe's batches from step `start` on. */
export function openBatches(
  source: OpenSource,
  { seed, views, model, optim }: Recipe,
  start: number,
  { workers, maxBad }: LoadingOptions,
): Promise<Loader> {
  const options = { seed, views, patch: model.patch, batch: optim.batch, start };
  return openViewLoader(source, {
    ...options,
    ...(workers === undefined ? {} : { workers }),
    ...(maxBad === undefined ? {} : { maxBad }),
  });
}
