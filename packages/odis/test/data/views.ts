import type { Rng } from "../../src/core/rng.js";
import type { Sample } from "../../src/data/dataset.js";
import { resolveConfig } from "../../src/core/schema.js";
import { viewConfig } from "../../src/views/config.js";
import { makeViews, newViewSlots } from "../../src/views/views.js";

/** Views of a training step, small ones: everything that the network would see. */
export function viewsOf(sample: Sample, rng: Rng): unknown {
  const values = {
    globals: { size: 64 },
    locals: { count: 2, size: 32 },
    object: { minArea: 0.001 },
  };
  const views = resolveConfig(viewConfig, [{ source: "test", values }]);
  const slots = newViewSlots(views, 16);
  const { tries } = makeViews(sample, views, 16, rng, slots);
  return { tries, slots };
}
