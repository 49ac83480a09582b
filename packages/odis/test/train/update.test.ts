import { liveBytes, type Tensor, tensorScope, tidy } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { scheduleValuesAt } from "../../src/recipe/schedules.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { createState } from "../../src/train/state.js";
import { Update } from "../../src/train/update.js";

const recipe = recipeSchema.parse({
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { size: 24 }, locals: { size: 16 } },
});
const length = { stepsPerEpoch: 2, totalSteps: 8 };

const giveGradients = (weights: readonly Tensor[]): void => {
  for (const weight of weights) tidy(() => weight.mul(weight).sum().backward());
};

describe("an update of some weights", () => {
  it("gives the memory of their gradients back at once, and leaves other weights alone", () => {
    using state = createState(recipe);
    using step = tensorScope();
    const [first, second] = state.student.backbone.blocks;
    const others = second!.parameters();
    const before = others.map((weight) => weight.toFloat32());
    giveGradients([...first!.parameters(), ...others]);
    const all = liveBytes();
    const update = new Update(state, scheduleValuesAt(recipe, length, 4), step);
    update.clip([first!]);
    update.apply([first!]);
    // No handle of this scope holds a gradient any more, and no weight does; norms are what is new.
    expect(liveBytes()).toBe(all + 4 * first!.parameters().length);
    expect(tidy(() => first!.parameters().every(({ grad }) => grad === undefined))).toBe(true);
    expect(tidy(() => others.every(({ grad }) => grad !== undefined))).toBe(true);
    expect(others.map((weight) => weight.toFloat32())).toEqual(before);
    const norms = update.normOfEach(update.norms().toNumbers());
    expect(norms.filter((norm) => norm !== undefined)).toHaveLength(first!.parameters().length);
  });

  it("measures frozen prototypes, whichever weights are updated before them", () => {
    using state = createState(recipe);
    using step = tensorScope();
    const { backbone, head } = state.student;
    const { weightV } = head.lastLayer;
    const before = weightV.toFloat32();
    giveGradients([...backbone.blocks[1]!.parameters(), weightV]);
    const frozen = { ...scheduleValuesAt(recipe, length, 0), lr: 0.1 };
    expect(frozen.freezeLastLayer).toBe(true);
    const update = new Update(state, frozen, step);
    for (const modules of [[backbone.blocks[1]!], [backbone, head]]) {
      update.clip(modules);
      update.apply(modules);
    }
    const norms = update.normOfEach(update.norms().toNumbers());
    const wanted = 2 * Math.hypot(...before); // of the gradient of |v|²
    expect(norms[state.student.parameters().indexOf(weightV)]).toBeCloseTo(wanted, 4);
    expect(weightV.toFloat32()).toEqual(before);
  });
});
