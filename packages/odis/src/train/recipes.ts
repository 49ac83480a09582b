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
      head: { hidden: 256, bottleneck: 64, prototypes: 128 },
      views: {
        // Close crops: on small scenes an object must span several patches to have a shape.
        globals: { size: 48, scale: [0.15, 0.7] },
        locals: { count: 0, size: 24 },
        object: { minVisible: 0.1 },
        // Without grey, the colour of the light tells scenes apart and no shape is learned.
        color: { gray: 1, blur: { p: [0.2, 0.2, 0.2], radius: [0.1, 1] }, solarize: 0 },
      },
      loss: {
        centering: "sinkhorn",
        patchWeight: 0.3,
        koleoWeight: 0.1,
        // Sharp targets: at .05 short runs stay near the uniform state.
        teacherTemperature: { start: 0.025, end: 0.025, warmupEpochs: 0 },
        patchTemperature: { start: 0.025, end: 0.025, warmupEpochs: 0 },
      },
      optim: {
        batch: 64,
        epochs: 20,
        lr: 0.008,
        minLr: 1e-5,
        warmupEpochs: 0.5,
        weightDecay: { start: 0.04, end: 0.04 },
        freezeLastLayerEpochs: 0,
      },
      // A teacher with a short memory: minutes have no time for a long one.
      teacher: { momentum: { start: 0.95, end: 1 } },
    },
  },
} as const satisfies Readonly<Record<string, NamedRecipe>>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as readonly RecipeName[];

/** A recipe as the lowest layer of settings. */
export function recipeLayer(name: RecipeName): { source: string; values: Settings } {
  return { source: `recipe ${name}`, values: recipes[name].values };
}

/**
 * Width, depth and heads of backbones by name, as in iBOT `models/vision_transformer.py`;
 * `vit-mini` is our own, for CPUs.
 */
export const modelSizes = {
  "vit-mini": { dim: 128, depth: 6, heads: 4 },
  "vit-ti": { dim: 192, depth: 12, heads: 3 },
  "vit-s": { dim: 384, depth: 12, heads: 6 },
  "vit-b": { dim: 768, depth: 12, heads: 12 },
  "vit-l": { dim: 1024, depth: 24, heads: 16 },
} as const;

export type ModelSize = keyof typeof modelSizes;
export const modelNames = Object.keys(modelSizes) as readonly ModelSize[];
