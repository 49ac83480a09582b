import { z } from "zod";
import { type ConfigLayer, number, resolveConfig, whole } from "../core/index.js";
import { checkViewSizes, viewConfig } from "../views/index.js";
import { checkCombinations } from "./combinations.js";

/** More of a thing than memory can hold is refused later, with figures (`train/memory.ts`). */
const count = (least: number, meaning: string) => whole(least, 1e9, meaning);
const share = (meaning: string) => number(0, 1, meaning);
/** Below 1: a mean that keeps all of itself never moves, and is divided by what is left. */
const decay = (meaning: string) => number(0, 1 - 1e-9, meaning);
const weight = (meaning: string) => number(0, 1e6, `the weight of ${meaning}, 0 to leave it out`);
const epochs = (meaning: string) => number(0, 1e6, meaning);
const temperature = (of: string) => number(0.001, 1000, `the temperature of ${of}`);
const temperatures = (of: string) =>
  z.strictObject({
    /** value in the first epoch */
    start: temperature(of),
    /** value after the warm-up */
    end: temperature(of),
    /** epochs of linear rise */
    warmupEpochs: epochs("the epochs in which it rises"),
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
  seed: whole(0, Number.MAX_SAFE_INTEGER, "what everything random follows from").default(0),
  model: z
    .strictObject({
      dim: count(1, "the width of the network").default(384),
      depth: count(1, "the number of blocks").default(12),
      heads: count(1, "the number of attention heads").default(6),
      /** width of the feed-forward part over `dim` */
      mlpRatio: number(0.01, 1000, "the width of the feed-forward part over model.dim").default(4),
      /** `swiglu` has gated linear units of two thirds of the width */
      ffn: z.enum(["mlp", "swiglu"]).default("mlp"),
      /** side of a patch, pixels */
      patch: count(1, "the side of a patch in pixels").default(16),
      /** stochastic depth at the last block */
      dropPath: decay("the share of branches dropped at the last block").default(0.1),
      /** whether it grows linearly over the blocks or is the same in all */
      dropPathDepth: z.enum(["linear", "uniform"]).default("linear"),
      /** whether each image is dropped by chance of its own, or always as many (DINOv2) */
      dropRule: z.enum(["sample", "subset"]).default("sample"),
      /** initial value of LayerScale; 0: none */
      layerScale: number(0, 1000, "the initial scale of branches, 0 for none").default(0),
      /** added to the variance in layer norms */
      normEpsilon: number(1e-12, 1, "what is added to the variance in layer norms").default(1e-6),
      /** tokens before the patches; `views.object.count` says how many [OBJ] there are */
      tokens: z.enum(["cls", "obj", "cls+obj"]).default("obj"),
      /** who is restricted to the object's patches; `separate` hides objects from each other's patches, too; `isolated` restricts these to their object */
      objectAttention: z.enum(["masked", "separate", "isolated", "open"]).default("masked"),
      /** whether several [OBJ] tokens begin as one vector or each has its own */
      objectEmbedding: z.enum(["shared", "each"]).default("shared"),
      objectPosition: z.enum(["shared", "each"]).default("shared"),
    })
    .prefault({}),
  head: z
    .strictObject({
      hidden: count(1, "the width of the head's hidden layers").default(2048),
      bottleneck: count(1, "the width before the prototypes").default(256),
      prototypes: count(2, "the number of prototypes").default(8192),
      /** prototypes of [OBJ] where there is a [CLS] beside it; default: as many */
      objectPrototypes: count(2, "the number of prototypes of [OBJ]").optional(),
      /** prototypes of patches; default: as many */
      patchPrototypes: count(2, "the number of prototypes of patches").optional(),
      /** bottleneck of the patches' own head; default: the same */
      patchBottleneck: count(1, "the width before the prototypes of patches").optional(),
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
      clsWeight: weight("L[CLS]").default(0),
      objectWeight: weight("L[OBJ]").default(1),
      patchWeight: weight("L[PATCH]").default(1),
      /** what L[OBJ] compares: the [OBJ] token, or the mean of the object's patch features */
      objectFrom: z.enum(["token", "pooled"]).default("token"),
      /** weight of KoLeo on the student's [OBJ] (else [CLS]) in global views, mean over the views */
      koleoWeight: weight("KoLeo").default(0),
      studentTemperature: temperature("the student").default(0.1),
      teacherTemperature: temperatures("the teacher").default({
        start: 0.04,
        end: 0.07,
        warmupEpochs: 30,
      }),
      /** teacher temperature of [OBJ]; default: that of [CLS] */
      objectTemperature: temperatures("the teacher's [OBJ]").optional(),
      patchTemperature: temperatures("the teacher's patches").default({
        start: 0.04,
        end: 0.07,
        warmupEpochs: 30,
      }),
      /** epoch, from 0, that begins to hide patches; the rise of their temperature begins with it */
      patchFromEpoch: epochs("the first epoch that hides patches").default(0),
      /** how targets are kept from collapsing: a moving mean, or Sinkhorn-Knopp */
      centering: z.enum(["mean", "sinkhorn"]).default("mean"),
      centerMomentum: share("the part of the old centre that a step keeps").default(0.9),
      /** of the patch centre; default: that of the others */
      patchCenterMomentum: share("the part of the old patch centre that a step keeps").optional(),
      /** rows whose teacher logits move the [OBJ] centre: all as published, or those of objects that are in the view */
      objectCenterRows: z.enum(["all", "present"]).default("all"),
      /** whether an image's [OBJ] tokens share a centre or each has its own, as in the published follow-up code */
      objectCenters: z.enum(["shared", "each"]).default("shared"),
      sinkhornIterations: whole(1, 1000, "how often targets are balanced").default(3),
      /** patches whose teacher logits move the patch centre; `all` is the published rule */
      patchCenter: z.enum(["hidden", "all"]).default("hidden"),
      /** denominator of L[OBJ]: existing pairs, or images x pairs as in the published follow-up code */
      pairMean: z.enum(["pairs", "images"]).default("pairs"),
    })
    .prefault({}),
  optim: z
    .strictObject({
      /** images in a step */
      batch: count(1, "the images of a step").default(64),
      /** parts that a batch is computed in, one after the other; the update is that of the whole */
      accumulate: count(1, "the pieces that a batch is computed in").default(1),
      /**
       * `recompute`: keep only the blocks' inputs for the backward pass, a third more computation;
       * `stream`: besides, update each block as soon as its gradient is known, and drop that
       */
      memory: z.enum(["keep", "recompute", "stream"]).default("keep"),
      /** each of several processes keeps the optimiser's moments of its share of the weights only (ZeRO stage 1, Rajbhandari et al. 2020) */
      shard: z.boolean().default(false),
      /** of matrix products; `bfloat16` where the device has it */
      precision: z.enum(["float32", "bfloat16"]).default("float32"),
      epochs: number(1e-6, 1e6, "the length of the run in epochs").default(800),
      /** length of the run in steps; wins over epochs */
      steps: count(1, "the length of the run in steps").optional(),
      /** learning rate for a batch of `lrBatch`; scaled with the batch by `lrScaling` */
      lr: number(1e-12, 1000, "the learning rate for a batch of optim.lrBatch").default(5e-4),
      lrBatch: count(1, "the batch that optim.lr is meant for").default(256),
      lrScaling: z.enum(["linear", "sqrt"]).default("linear"),
      /** factor of the learning rate from each block to the one below it; 1: none */
      layerDecay: number(0.001, 1, "the factor from a block to the one below").default(1),
      /** factor of the patch projection's learning rate, besides the decay */
      patchLr: number(0.001, 1, "the factor of the patch projection's learning rate").default(1),
      minLr: number(0, 1000, "the learning rate at the end").default(1e-6),
      warmupEpochs: epochs("the epochs in which the learning rate rises").default(10),
      weightDecay: cosine(number(0, 1000, "the weight decay")).default({ start: 0.04, end: 0.4 }),
      beta1: decay("AdamW's memory of gradients").default(0.9),
      beta2: decay("AdamW's memory of their squares").default(0.999),
      /** largest gradient norm, 0 = no clipping */
      clip: number(0, 1e6, "the largest gradient norm, 0 for no limit").default(3),
      /** whether the limit holds for each tensor (published), for backbone and heads (DINOv2), or for all together */
      clipScope: z.enum(["each", "module", "global"]).default("each"),
      /** first epochs in which the prototypes do not move */
      freezeLastLayerEpochs: epochs("the epochs in which prototypes stand still").default(1),
    })
    .prefault({}),
  teacher: z
    .strictObject({
      /** share of the old teacher kept in a step */
      momentum: cosine(share("the part of the old teacher that a step keeps")).default({
        start: 0.996,
        end: 1,
      }),
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
