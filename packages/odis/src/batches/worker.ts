import { serve } from "./serve.js";
import { makeViews, type ViewConfig } from "../views/index.js";

/** What {@link openViewLoader} hands to its worker threads. */
export interface ViewSettings {
  readonly views: ViewConfig;
  /** side of a patch, pixels */
  readonly patch: number;
}

await serve<ViewSettings>(
  ({ views, patch }) =>
    (sample, rng, into) =>
      makeViews(sample, views, patch, rng, into),
);
