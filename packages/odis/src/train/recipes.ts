import type { Settings } from "../config.js";

/** A named, complete configuration: what it changes of the schema's defaults, and why it exists. */
export interface NamedRecipe {
  readonly summary: string;
  readonly values: Settings;
}

/**
 * All recipes. `odis` is the schema's defaults (`recipe.ts`); others say only what differs. Plain
 * data, so that the command line can list them without loading anything.
 */
export const recipes = {
  odis: {
    summary: "object-level self-distillation with the published ViT-S/16 hyperparameters",
    values: { name: "odis" },
  },
  "odis-small": {
    summary: "the same method for small images and minutes on a CPU: the quick start's recipe",
    values: {
      name: "odis-small",
      model: { dim: 96, depth: 4, heads: 3, patch: 8, dropPath: 0 },
      head: { hidden: 256, bottleneck: 64, prototypes: 256 },
      views: {
        globals: { size: 48, scale: [0.4, 1] },
        locals: { count: 0, size: 24 },
        color: { blur: { p: [0.2, 0.2, 0.2], radius: [0.1, 1] }, solarize: 0 },
      },
      loss: {
        centering: "sinkhorn",
        koleoWeight: 0.1,
        teacherTemperature: { start: 0.05, end: 0.05, warmupEpochs: 0 },
        patchTemperature: { start: 0.05, end: 0.05, warmupEpochs: 0 },
      },
      optim: {
        batch: 64,
        epochs: 20,
        lr: 0.006,
        minLr: 1e-5,
        warmupEpochs: 0.5,
        weightDecay: { start: 0.04, end: 0.04 },
        freezeLastLayerEpochs: 0,
      },
      teacher: { momentum: { start: 0.99, end: 1 } },
    },
  },
} as const satisfies Readonly<Record<string, NamedRecipe>>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as readonly RecipeName[];

/** A recipe as the lowest layer of settings. */
export function recipeLayer(name: RecipeName): { source: string; values: Settings } {
  return { source: `recipe ${name}`, values: recipes[name].values };
}
