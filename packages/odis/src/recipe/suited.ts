import { recipeLayers, type ModelSize, type RecipeName } from "./methods.js";
import { resolveRecipe } from "./schema.js";

/** Fewer steps teach nothing, however few the pictures are. */
const LEAST_STEPS = 1000;

/** Share of the steps in which the learning rate rises, where the published epochs would be a few steps. */
const WARMUP = 0.05;

/** Size and length of a run. */
export interface Suited {
  readonly model: ModelSize;
  readonly optim: { readonly batch: number; readonly steps: number; readonly warmupEpochs: number };
}

/**
 * Size and length where nobody has said any: on a CPU the network that is made for it, as many images
 * in a step as there are, and the published number of epochs unless that would be too few steps.
 *
 * @param images of the data set
 * @param device `cpu`, `cuda:1`
 */
export function suitedTo(images: number, device: string, recipe: RecipeName): Suited {
  const model = device === "cpu" ? "vit-mini" : "vit-s";
  const { optim } = resolveRecipe(recipeLayers(recipe, model));
  const batch = Math.max(1, Math.min(optim.batch, images));
  const stepsPerEpoch = Math.max(1, Math.floor(images / batch));
  const published = Math.round(optim.epochs * stepsPerEpoch);
  const steps = Math.max(LEAST_STEPS, published);
  const warmupEpochs = steps > published ? (WARMUP * steps) / stepsPerEpoch : optim.warmupEpochs;
  return { model, optim: { batch, steps, warmupEpochs } };
}
