import type { Loader } from "../data/loader.js";
import type { OpenSource } from "../data/source.js";
import type { Recipe } from "../train/recipe.js";
import { openViewLoader } from "../views/loader.js";

/** A recipe's batches from step `start` on. @param workers data threads; default: one per core */
export function openBatches(
  source: OpenSource,
  { seed, views, model, optim }: Recipe,
  start: number,
  workers: number | undefined,
): Promise<Loader> {
  const options = { seed, views, patch: model.patch, batch: optim.batch, start };
  return openViewLoader(source, workers === undefined ? options : { ...options, workers });
}
