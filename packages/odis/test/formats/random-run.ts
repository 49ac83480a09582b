import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { Generator, tensorScope } from "@odis/torch";
import type { Settings } from "../../src/core/index.js";
import type { RecipeName } from "../../src/recipe/methods.js";
import type { Recipe } from "../../src/recipe/index.js";
import { savePosition } from "../../src/run/session.js";
import { savedState } from "../../src/train/saved.js";
import { createState } from "../../src/train/state.js";
import { smallRecipe } from "./small.js";

/** One for a test file: each network is another, and the same ones come again when the file does. */
const generator = new Generator(11);

/** A small run with one checkpoint of random weights, all of them far from their start. */
export function randomRun(
  folder: string,
  name: RecipeName,
  ...more: readonly Settings[]
): { path: string; recipe: Recipe } {
  const recipe = smallRecipe(name, ...more);
  return { path: saveRandom(folder, recipe, 0.4), recipe };
}

/** @returns the checkpoint */
export function saveRandom(folder: string, recipe: Recipe, deviation: number): string {
  using _scope = tensorScope();
  using state = createState(recipe);
  // Gains stay near 1: products that all but vanish would hide what a mask does.
  for (const network of [state.student, state.teacher])
    for (const [name, weight] of network.namedParameters())
      weight.detach().normal_(/norm\d?\.weight$/.test(name) ? 1 : 0, deviation, generator);
  const made = mkdtempSync(join(folder, "run-"));
  return savePosition(made, { recipe }, savedState(state), { step: 7, seconds: 0 }, 1);
}
