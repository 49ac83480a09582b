import { Loader, type LoaderOptions } from "../data/loader.js";
import type { OpenSource } from "../data/source.js";
import { checkViewSizes } from "./config.js";
import type { ViewSettings } from "./worker.js";

export interface ViewLoaderOptions
  extends ViewSettings,
    Omit<LoaderOptions, "shape" | "worker" | "settings"> {
  /** images in a batch */
  readonly batch: number;
}

/**
 * Batches of views, made by worker threads.
 *
 * @throws ConfigError when sizes do not fit each other, DataError when a worker cannot open the source
 */
export function openViewLoader(
  source: OpenSource,
  { views, patch, batch, ...options }: ViewLoaderOptions,
): Promise<Loader> {
  checkViewSizes(views, patch);
  const { globals, locals } = views;
  const settings: ViewSettings = { views, patch };
  return Loader.open(source, {
    ...options,
    settings,
    worker: new URL("./worker.js", import.meta.url),
    shape: {
      images: batch,
      objects: views.object.count,
      global: { views: globals.count, size: globals.size, patches: (globals.size / patch) ** 2 },
      local: {
        views: locals.count,
        size: locals.size,
        patches: locals.masked ? (locals.size / patch) ** 2 : 0,
      },
    },
  });
}
