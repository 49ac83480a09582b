import { describe, expect, it } from "vitest";
import { recipeLayers } from "../../src/recipe/methods.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { forecast } from "../../src/run/forecast.js";
import { stepCost } from "../../src/train/cost.js";

const recipe = resolveRecipe(recipeLayers("odis", "vit-ti"));
/** So that a step of one process takes 100 s, six tenths of the rate being reached. */
const rate = (): number => stepCost(recipe).flops / 100 / 0.6;

describe("what is told before a run", () => {
  const told = (processes: number): string => forecast(recipe, 100, { processes }, rate)!;

  it("of one process", () => {
    expect(told(1)).toMatch(
      /^13 million parameters; a step of \d+ images needs about \S+ [GM]B of \S+ GB memory and about 1 min 40 s: 2 h 46 min for 100 steps; smaller: /,
    );
  });

  it("of objects alone: the most, since objects decide how many patches are computed", () => {
    const isolated = resolveRecipe(recipeLayers("odis-isolated", "vit-ti"));
    expect(forecast(isolated, 100, {}, rate)).toMatch(
      /; a step of \d+ images needs at most about \S+ [GM]B of \S+ GB memory and at most about 1 min 40 s: 2 h 46 min for 100 steps; smaller: /,
    );
  });

  it.each([
    [2, "50 s: 1 h 23 min for 100 steps"],
    [8, "13 s: 20 min 50 s for 100 steps"],
  ])("of %i, which share the images of a step: in each, and how long it takes them", (n, time) => {
    expect(told(n)).toMatch(
      new RegExp(
        `; a step of \\d+ images needs about \\S+ [GM]B in each of ${n} processes, of \\S+ GB memory and about ${time}`,
      ),
    );
  });
});
