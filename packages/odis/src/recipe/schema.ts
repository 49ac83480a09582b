import { z } from "zod";
import { type ConfigLayer, resolveConfig } from "../core/index.js";
import { checkViewSizes, viewConfig } from "../views/index.js";
import { checkCombinations } from "./combinations.js";

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
 * ViT-S/16 hyperparameters (paper section 4; what it does not state is iBOT's).
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
      /** width of the feed-forward part over `dim` */
      mlpRatio: positive.default(4),
      /** `swiglu` has gated linear units of two thirds of the width */
      ffn: z.enum(["mlp", "swiglu"]).default("mlp"),
      /** side of a patch, pixels */
      patch: count.default(16),
      /** stochastic depth at the last block */
      dropPath: z.number().min(0).lt(1).default(0.1),
      /** whether it grows linearly over the blocks or is the same in all */
      dropPathDepth: z.enum(["linear", "uniform"]).default("linear"),
      /** whether each image is dropped by chance of its own, or always as many (DINOv2) */
      dropRule: z.enum(["sample", "subset"]).default("sample"),
      /** initial value of LayerScale; 0: none */
      layerScale: z.number().min(0).default(0),
      /** added to the variance in layer norms */
      normEpsilon: positive.max(1).default(1e-6),
      /** tokens before the patches; `views.object.count` says how many [OBJ] there are */
      tokens: z.enum(["cls", "obj", "cls+obj"]).default("obj"),
      /** who is restricted to the object's patches; `separate` hides objects from each other's patches, too */
      objectAttention: z.enum(["masked", "separate", "open"]).default("masked"),
      /** whether several [OBJ] tokens begin as one vector or each has its own */
      objectEmbedding: z.enum(["shared", "each"]).default("shared"),
      objectPosition: z.enum(["shared", "each"]).default("shared"),
    })
    .prefault({}),
  head: z
    .strictObject({
      hidden: count.default(2048),
      bottleneck: count.default(256),
      prototypes: z.int().min(2).default(8192),
      /** prototypes of [OBJ] where there is a [CLS] beside it; default: as many */
      objectPrototypes: z.int().min(2).optional(),
      /** prototypes of patches; default: as many */
      patchPrototypes: z.int().min(2).optional(),
      /** bottleneck of the patches' own head; default: the same */
      patchBottleneck: count.optional(),
      /** keep the prototypes' gain at 1 instead of training it */
      normLastLayer: z.boolean().default(false),
      /** `all`: one head for every token; `mlp`: prototypes for each kind of token; `none`: a head for each */
      share: z.enum(["all", "mlp", "none"]).default("all"),
    })
    .prefault({}),
  views: viewConfig,
  loss: z
    .strictObject({
      /** weight of L[CLS]; 0 leaves it out, like the other weights */
      clsWeight: z.number().min(0).default(0),
      objectWeight: z.number().min(0).default(1),
      patchWeight: z.number().min(0).default(1),
      /** what L[OBJ] compares: the [OBJ] token, or the mean of the object's patch features */
      objectFrom: z.enum(["token", "pooled"]).default("token"),
      /** weight of KoLeo on the student's [OBJ] (else [CLS]) in global views, mean over the views */
      koleoWeight: z.number().min(0).default(0),
      studentTemperature: positive.default(0.1),
      teacherTemperature: temperature.default({ start: 0.04, end: 0.07, warmupEpochs: 30 }),
      /** teacher temperature of [OBJ]; default: that of [CLS] */
      objectTemperature: temperature.optional(),
      patchTemperature: temperature.default({ start: 0.04, end: 0.07, warmupEpochs: 30 }),
      /** epoch, from 0, that begins to hide patches; the rise of their temperature begins with it */
      patchFromEpoch: z.number().min(0).default(0),
      /** how targets are kept from collapsing: a moving mean, or Sinkhorn-Knopp */
      centering: z.enum(["mean", "sinkhorn"]).default("mean"),
      centerMomentum: share.default(0.9),
      /** of the patch centre; default: that of the others */
      patchCenterMomentum: share.optional(),
      /** rows whose teacher logits move the [OBJ] centre: all as published, or those of objects that are in the view */
      objectCenterRows: z.enum(["all", "present"]).default("all"),
      /** whether an image's [OBJ] tokens share a centre or each has its own, as in the published follow-up code */
      objectCenters: z.enum(["shared", "each"]).default("shared"),
      sinkhornIterations: count.default(3),
      /** patches whose teacher logits move the patch centre; `all` is the published rule */
      patchCenter: z.enum(["hidden", "all"]).default("hidden"),
      /** denominator of L[OBJ]: existing pairs, or images x pairs as in the published follow-up code */
      pairMean: z.enum(["pairs", "images"]).default("pairs"),
    })
    .prefault({}),
  optim: z
    .strictObject({
      /** images in a step */
      batch: count.default(64),
      /** parts that a batch is computed in, one after the other; the update is that of the whole */
      accumulate: count.default(1),
      /**
       * `recompute`: keep only the blocks' inputs for the backward pass, a third more computation;
       * `stream`: besides, update each block as soon as its gradient is known, and drop that
       */
      memory: z.enum(["keep", "recompute", "stream"]).default("keep"),
      /** of matrix products; `bfloat16` where the device has it */
      precision: z.enum(["float32", "bfloat16"]).default("float32"),
      epochs: positive.default(800),
      /** length of the run in steps; wins over epochs */
      steps: count.optional(),
      /** learning rate for a batch of `lrBatch`; scaled with the batch by `lrScaling` */
      lr: positive.default(5e-4),
      lrBatch: count.default(256),
      lrScaling: z.enum(["linear", "sqrt"]).default("linear"),
      /** factor of the learning rate from each block to the one below it; 1: none */
      layerDecay: positive.max(1).default(1),
      /** factor of the patch projection's learning rate, besides the decay */
      patchLr: positive.max(1).default(1),
      minLr: z.number().min(0).default(1e-6),
      warmupEpochs: z.number().min(0).default(10),
      weightDecay: cosine(z.number().min(0)).default({ start: 0.04, end: 0.4 }),
      beta1: share.default(0.9),
      beta2: share.default(0.999),
      /** largest gradient norm, 0 = no clipping */
      clip: z.number().min(0).default(3),
      /** whether the limit holds for each tensor (published), for backbone and heads (DINOv2), or for all together */
      clipScope: z.enum(["each", "module", "global"]).default("each"),
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
  checkCombinations(recipe);
  checkViewSizes(recipe.views, recipe.model.patch);
  return recipe;
}
