import { z } from "zod";
import { type ConfigLayer, resolveConfig } from "../config.js";
import { ConfigError } from "../errors.js";
import { checkViewSizes, viewConfig } from "../views/config.js";

const positive = z.number().positive();
const share = z.number().min(0).max(1);
const count = z.int().min(1);
const temperature = z.strictObject({
  /** value in the first epoch */
  start: positive,
  /** value after the warm-up */
  end: positive,
  /** epochs of linear rise */
  warmupEpochs: z.number().min(0),
});
/** A value that follows half a cosine over the run. */
const cosine = (value: z.ZodNumber) => z.strictObject({ start: value, end: value });

/**
 * Everything that decides the numbers of a run. Defaults are the `odis` recipe at the published
 * ViT-S/16 hyperparameters (method: paper section 4; values the paper does not state are iBOT's).
 */
export const recipeSchema = z.strictObject({
  name: z.string().default("odis"),
  /** decides weights, order, views and dropped paths */
  seed: z.int().min(0).default(0),
  model: z
    .strictObject({
      dim: count.default(384),
      depth: count.default(12),
      heads: count.default(6),
      mlpRatio: positive.default(4),
      /** side of a patch, pixels */
      patch: count.default(16),
      /** stochastic depth at the last block */
      dropPath: z.number().min(0).lt(1).default(0.1),
    })
    .prefault({}),
  head: z
    .strictObject({
      hidden: count.default(2048),
      bottleneck: count.default(256),
      prototypes: z.int().min(2).default(8192),
      /** keep the prototypes' gain at 1 instead of training it */
      normLastLayer: z.boolean().default(false),
    })
    .prefault({}),
  views: viewConfig,
  loss: z
    .strictObject({
      objectWeight: z.number().min(0).default(1),
      patchWeight: z.number().min(0).default(1),
      /** weight of KoLeo on the student's [OBJ] in global views; 0 leaves it out */
      koleoWeight: z.number().min(0).default(0),
      studentTemperature: positive.default(0.1),
      teacherTemperature: temperature.default({ start: 0.04, end: 0.07, warmupEpochs: 30 }),
      patchTemperature: temperature.default({ start: 0.04, end: 0.07, warmupEpochs: 30 }),
      /** how targets are kept from collapsing: a moving mean, or Sinkhorn-Knopp */
      centering: z.enum(["mean", "sinkhorn"]).default("mean"),
      centerMomentum: share.default(0.9),
      sinkhornIterations: count.default(3),
      /** patches whose teacher logits move the patch centre; `all` is the published rule */
      patchCenter: z.enum(["hidden", "all"]).default("hidden"),
      /** denominator of L[OBJ]: existing pairs, or the lineage's images x pairs */
      pairMean: z.enum(["pairs", "images"]).default("pairs"),
    })
    .prefault({}),
  optim: z
    .strictObject({
      /** images in a step */
      batch: count.default(64),
      epochs: positive.default(800),
      /** length of the run in steps; wins over epochs */
      steps: count.optional(),
      /** learning rate for a batch of 256; scaled linearly with the batch */
      lr: positive.default(5e-4),
      minLr: z.number().min(0).default(1e-6),
      warmupEpochs: z.number().min(0).default(10),
      weightDecay: cosine(z.number().min(0)).default({ start: 0.04, end: 0.4 }),
      beta1: share.default(0.9),
      beta2: share.default(0.999),
      /** largest gradient norm, 0 = no clipping */
      clip: z.number().min(0).default(3),
      /** whether the limit holds for each tensor (published) or for all together */
      clipScope: z.enum(["each", "global"]).default("each"),
      /** first epochs in which the prototypes do not move */
      freezeLastLayerEpochs: z.number().min(0).default(1),
    })
    .prefault({}),
  teacher: z
    .strictObject({
      /** share of the old teacher kept in a step */
      momentum: cosine(share).default({ start: 0.996, end: 1 }),
    })
    .prefault({}),
});

export type Recipe = ReturnType<typeof resolveConfig<typeof recipeSchema>>;

/**
 * A complete, frozen recipe from layers of settings over the defaults.
 *
 * @throws ConfigError one line for each problem, before anything runs
 */
export function resolveRecipe(layers: readonly ConfigLayer[]): Recipe {
  const recipe = resolveConfig(recipeSchema, layers);
  const { dim, heads, patch } = recipe.model;
  if (dim % heads !== 0)
    throw new ConfigError(
      `model.dim: got ${dim}; wanted a multiple of model.heads (${heads}), e.g. ${Math.ceil(dim / heads) * heads}`,
    );
  checkViewSizes(recipe.views, patch);
  return recipe;
}
