import { liveBytes, tensorScope, tidy } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { knobsAt } from "../../src/recipe/schedules.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { createState } from "../../src/train/state.js";
import { Update } from "../../src/train/update.js";

const recipe = recipeSchema.parse({
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { size: 24 }, locals: { size: 16 } },
});
const knobs = knobsAt(recipe, { stepsPerEpoch: 2, totalSteps: 8 }, 4);

describe("an update of some weights", () => {
  it("gives the memory of their gradients back at once, and leaves other weights alone", () => {
    using state = createState(recipe);
    using _step = tensorScope();
    const [first, second] = state.student.backbone.blocks;
    const weights = [first!, second!].flatMap((block) => block.parameters());
    const before = second!.parameters().map((weight) => weight.toFloat32());
    for (const weight of weights) tidy(() => weight.mul(weight).sum().backward());
    const all = liveBytes();
    const update = new Update(state, knobs, { keys: ["a.jpg"] }, {});
    update.apply([first!]);
    // No handle of this scope holds a gradient any more, and no weight does.
    expect(liveBytes()).toBe(all);
    expect(tidy(() => first!.parameters().every(({ grad }) => grad === undefined))).toBe(true);
    expect(tidy(() => second!.parameters().every(({ grad }) => grad !== undefined))).toBe(true);
    expect(second!.parameters().map((weight) => weight.toFloat32())).toEqual(before);
    const norms = update.gradients.each.filter((norm) => norm !== undefined);
    expect(norms).toHaveLength(first!.parameters().length);
  });
});
