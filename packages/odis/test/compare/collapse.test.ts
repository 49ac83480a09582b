import { expect, it } from "vitest";
import { collapseOf } from "../../src/compare/collect.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { recipeLayers } from "../../src/recipe/methods.js";
import { metricsRows } from "../evaluate/fake-run.js";

const steps = { source: "test", values: { optim: { steps: 1000 } } };

it("a run has collapsed when its log said so last", () => {
  const recipe = resolveRecipe([...recipeLayers("odis", "vit-mini"), steps]);
  const healthy = metricsRows(1000, recipe);
  expect(collapseOf(healthy, recipe)).toBeUndefined();
  const most = Math.log(recipe.head.prototypes);
  const uniform = healthy.map((row) => ({ ...row, teacherEntropy: most, marginalEntropy: most }));
  expect(collapseOf(uniform, recipe)).toMatch(/^collapse: targets are uniform/);
  const recovers = [...uniform.slice(0, 500), ...healthy.slice(500)];
  expect(collapseOf(recovers, recipe)).toBeUndefined();
  expect(collapseOf([], recipe)).toBeUndefined();
});
