import { type MakeImage, serve } from "./serve.js";
import { carryPicture, carryPlan, makeViews, planViews, type ViewConfig } from "../views/index.js";

/** What {@link openViewLoader} hands to its worker threads. */
export interface ViewSettings {
  readonly views: ViewConfig;
  /** side of a patch, pixels */
  readonly patch: number;
}

await serve<ViewSettings>(({ views, patch }): MakeImage => {
  if (views.drawnBy === "workers")
    return (sample, rng, into) => makeViews(sample, views, patch, rng, into);
  return (sample, rng, into) => {
    const report = planViews(sample, views, patch, rng, into);
    const { picture, frame, plans } = into.undrawn;
    carryPicture(sample, picture, frame);
    for (const [at, plan] of [...report.global, ...report.local].entries())
      carryPlan(plan, plans[at]!);
    return report;
  };
});
