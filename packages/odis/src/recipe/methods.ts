import type { ConfigLayer, Settings } from "../core/index.js";

/** Where a value comes from; `odis recipes NAME` shows it beside each. */
export interface Origin {
  /**
   * `paper`: ODIS (or the recipe's own paper); `published`: a published command, configuration or
   * file; `follow-up`: code that was published for a project built on ODIS; `ours`: our choice;
   * `given`: by whoever starts the run
   */
  readonly kind: "paper" | "published" | "follow-up" | "ours" | "given";
  /** section of the paper, file, or layer of settings */
  readonly where: string;
}

/** Settings with their origin. */
export interface RecipeLayer extends ConfigLayer {
  readonly origin: Origin;
}

const origins = {
  odis: { kind: "paper", where: "ODIS (arXiv 2506.05409), method" },
  dino: { kind: "published", where: "facebookresearch/dino main_dino.py and ViT-S/16 arguments" },
  dinoB: { kind: "published", where: "facebookresearch/dino, argument file of ViT-B/16" },
  ibot: { kind: "published", where: "bytedance/ibot README.md, ViT-S/16 command" },
  ibotB: { kind: "published", where: "bytedance/ibot, argument file of ViT-B/16" },
  ibotL: { kind: "paper", where: "iBOT (arXiv 2111.07832), section 3.2 and appendix B" },
  dinov2Short: {
    kind: "published",
    where: "facebookresearch/dinov2 configs/ssl_default_config.yaml",
  },
  dinov2Long: { kind: "published", where: "facebookresearch/dinov2 configs/train/vitg14.yaml" },
  vit: { kind: "published", where: "bytedance/ibot models/vision_transformer.py" },
  vitG: { kind: "paper", where: "DINOv2 (arXiv 2304.07193), table 17" },
  ours: { kind: "ours", where: "see EXPERIMENTS.md" },
  quick: { kind: "ours", where: "see EXPERIMENTS.md: minutes on a CPU" },
} as const satisfies Record<string, Origin>;

/** A method: what it changes of the schema's defaults (`odis` itself at ViT-S/16), and why it exists. */
export interface NamedRecipe {
  readonly summary: string;
  /** whose published hyperparameters it takes at each size */
  readonly family: Family;
  readonly layers: readonly { readonly origin: Origin; readonly values: Settings }[];
}

type Family = "dino" | "ibot" | "dinov2";

const plainCrops = { object: { crop: "off" } };
const clsOnly = { tokens: "cls" };
/** Nothing of DINOv2's long recipe that a size decides. */
const dinov2Method = {
  origin: origins.dinov2Long,
  values: {
    head: { share: "none" },
    model: { dropRule: "subset", dropPathDepth: "uniform", layerScale: 1e-5 },
    // DINOv2 sums 0.1 over two global views; our term is their mean.
    loss: { centering: "sinkhorn", sinkhornIterations: 3, koleoWeight: 0.2 },
    optim: { clipScope: "module", lrScaling: "sqrt", lrBatch: 1024 },
  },
} as const;

/** All methods. Plain data, so that the command line can list them without loading anything. */
export const recipes = {
  dino: {
    summary: "[CLS] only, whole images, no hidden patches (Caron et al. 2021)",
    family: "dino",
    layers: [
      {
        origin: origins.dino,
        values: {
          model: clsOnly,
          head: { prototypes: 65_536 },
          views: { ...plainCrops, hidden: { ratio: [0], variance: [0] } },
          loss: { clsWeight: 1, objectWeight: 0, patchWeight: 0 },
        },
      },
    ],
  },
  ibot: {
    summary:
      "[CLS] and hidden patches, whole images (Zhou et al. 2022); with masks at inference: iBOT+Masks",
    family: "ibot",
    layers: [
      {
        origin: origins.ibot,
        values: { model: clsOnly, views: plainCrops, loss: { clsWeight: 1, objectWeight: 0 } },
      },
    ],
  },
  odis: {
    summary: "object-aware crops, masked attention of [OBJ], hidden patches: the paper's method",
    family: "ibot",
    layers: [],
  },
  "odis-isolated": {
    summary:
      "ODIS whose object's patches see each other alone: nothing around it reaches [OBJ], or is computed",
    family: "ibot",
    layers: [
      {
        origin: origins.ours,
        values: { model: { objectAttention: "isolated" }, views: { hidden: { where: "object" } } },
      },
    ],
  },
  "odis-crop": {
    summary: "ablation: object-aware crops only, [OBJ] sees everything",
    family: "ibot",
    layers: [{ origin: origins.odis, values: { model: { objectAttention: "open" } } }],
  },
  "odis-mask": {
    summary: "ablation: masked attention only, plain random crops",
    family: "ibot",
    layers: [{ origin: origins.odis, values: { views: plainCrops } }],
  },
  "odis-cls": {
    summary: "ablation: a [CLS] beside [OBJ], and its loss",
    family: "ibot",
    layers: [
      {
        origin: origins.odis,
        values: { model: { tokens: "cls+obj" }, loss: { clsWeight: 1 } },
      },
    ],
  },
  "odis-pool": {
    summary:
      "baseline that fails in the paper: patch features averaged in the mask instead of [OBJ]",
    family: "ibot",
    layers: [{ origin: origins.odis, values: { model: clsOnly, loss: { objectFrom: "pooled" } } }],
  },
  "odis-multi": {
    summary: "several objects a pass, each with an [OBJ] and pairs of its own",
    family: "ibot",
    layers: [
      {
        origin: origins.ours,
        values: {
          // An unmasked local view looks the same to all [OBJ] tokens of an image: it would pull them together.
          views: { object: { count: 4, choose: "uniform" }, locals: { masked: true } },
          // Images with fewer objects leave rows empty: those say nothing of how often a prototype is used.
          loss: { objectCenterRows: "present" },
        },
      },
    ],
  },
  dinov2: {
    summary: "iBOT with Sinkhorn-Knopp, KoLeo, untied heads, LayerScale (Oquab et al. 2023)",
    family: "dinov2",
    layers: [
      {
        origin: origins.ibot,
        values: { model: clsOnly, views: plainCrops, loss: { clsWeight: 1, objectWeight: 0 } },
      },
      dinov2Method,
    ],
  },
  "odis-dinov2": {
    summary: "ODIS on DINOv2's recipe",
    family: "dinov2",
    layers: [dinov2Method],
  },
} as const satisfies Readonly<Record<string, NamedRecipe>>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as readonly RecipeName[];

interface SizeLayer {
  readonly origin: Origin;
  readonly values: Settings;
  /** only for these recipes; default all */
  readonly family?: readonly Family[];
}

const stable = {
  optim: { lr: 7.5e-4, minLr: 2e-6, epochs: 400, clip: 0.3, freezeLastLayerEpochs: 3 },
  head: { normLastLayer: true },
  loss: {
    teacherTemperature: { start: 0.04, end: 0.07, warmupEpochs: 50 },
    patchTemperature: { start: 0.04, end: 0.07, warmupEpochs: 50 },
  },
} as const;
const closerCrops = { globals: { scale: [0.32, 1] }, locals: { scale: [0.05, 0.32] } } as const;

/** DINOv2's hyperparameters that do not depend on the size. */
const dinov2Short: SizeLayer = {
  origin: origins.dinov2Short,
  family: ["dinov2"],
  values: {
    head: { prototypes: 65_536 },
    model: { dropPath: 0.3 },
    views: { ...closerCrops, locals: { ...closerCrops.locals, count: 8 } },
    optim: { batch: 2048, epochs: 100, lr: 4e-3, layerDecay: 0.9, patchLr: 0.2 },
    teacher: { momentum: { start: 0.992, end: 1 } },
  },
};

/**
 * Sizes of networks with the hyperparameters that were published for them, as in
 * iBOT `models/vision_transformer.py`; `vit-mini` is our own, for CPUs and small images.
 */
const sizes = {
  "vit-mini": [
    {
      origin: origins.quick,
      values: {
        // Small patches: of all that was tried they gain most, for the same number of images.
        model: { dim: 96, depth: 4, heads: 3, patch: 4, dropPath: 0 },
        head: { hidden: 256, bottleneck: 64, prototypes: 128 },
        views: {
          // Close crops: on small scenes an object must span several patches to have a shape.
          globals: { size: 32, scale: [0.15, 0.7] },
          locals: { count: 0, size: 16 },
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
          lr: 0.004,
          minLr: 1e-5,
          warmupEpochs: 0.5,
          weightDecay: { start: 0.04, end: 0.04 },
          freezeLastLayerEpochs: 0,
        },
        // A teacher with a short memory: minutes have no time for a long one.
        teacher: { momentum: { start: 0.95, end: 1 } },
      },
    },
    { origin: origins.quick, family: ["dino"], values: { loss: { patchWeight: 0 } } },
    {
      origin: origins.quick,
      family: ["dinov2"],
      // At 1e-5 hundreds of steps leave the residual branches switched off.
      values: { model: { layerScale: 0.1 }, optim: { lrScaling: "linear", lrBatch: 256 } },
    },
  ],
  "vit-ti": [
    { origin: origins.vit, values: { model: { dim: 192, depth: 12, heads: 3 } } },
    dinov2Short,
  ],
  "vit-s": [
    { origin: origins.vit, values: { model: { dim: 384, depth: 12, heads: 6 } } },
    {
      origin: origins.dino,
      family: ["dino"],
      values: { views: { globals: { scale: [0.4, 1] }, locals: { scale: [0.05, 0.4] } } },
    },
    dinov2Short,
  ],
  "vit-b": [
    { origin: origins.vit, values: { model: { dim: 768, depth: 12, heads: 12 } } },
    { origin: origins.dinoB, family: ["dino"], values: stable },
    { origin: origins.ibotB, family: ["ibot"], values: { ...stable, views: closerCrops } },
    dinov2Short,
  ],
  "vit-l": [
    { origin: origins.vit, values: { model: { dim: 1024, depth: 24, heads: 16 } } },
    // What was not published for ViT-L is ViT-B's.
    { origin: origins.ibotB, family: ["dino", "ibot"], values: stable },
    {
      origin: origins.ibotL,
      family: ["dino", "ibot"],
      values: { optim: { epochs: 250, lr: 5e-4 }, views: closerCrops },
    },
    dinov2Short,
  ],
  "vit-g": [
    {
      origin: origins.vitG,
      values: {
        model: { dim: 1536, depth: 40, heads: 24, patch: 14, ffn: "swiglu" },
        views: { locals: { size: 98 } },
      },
    },
    // What was not published for ViT-g is ViT-B's.
    {
      origin: origins.ibotB,
      family: ["dino", "ibot"],
      values: { ...stable, views: { ...closerCrops, locals: { ...closerCrops.locals, size: 98 } } },
    },
    {
      origin: origins.dinov2Long,
      family: ["dinov2"],
      values: {
        head: { prototypes: 131_072, bottleneck: 384, patchBottleneck: 256 },
        model: { dropPath: 0.4 },
        views: { ...closerCrops, locals: { ...closerCrops.locals, count: 8, size: 98 } },
        optim: {
          batch: 3072,
          epochs: 500,
          lr: 2e-4,
          warmupEpochs: 80,
          weightDecay: { start: 0.04, end: 0.2 },
          patchLr: 0.2,
        },
        teacher: { momentum: { start: 0.994, end: 1 } },
      },
    },
  ],
} as const satisfies Readonly<Record<string, readonly SizeLayer[]>>;

export type ModelSize = keyof typeof sizes;
export const modelNames = Object.keys(sizes) as readonly ModelSize[];

/**
 * A method at a size as the lowest layers of settings. What the method is stays whatever the size
 * says of everything else.
 */
export function recipeLayers(name: RecipeName, size: ModelSize = "vit-s"): readonly RecipeLayer[] {
  const { family, layers }: NamedRecipe = recipes[name];
  const ofSize: readonly SizeLayer[] = sizes[size];
  const nameLayer = { source: "recipe", origin: origins.ours, values: { name: `${name} ${size}` } };
  return [
    nameLayer,
    ...layers.map((layer) => ({ ...layer, source: `recipe ${name}` })),
    ...ofSize
      .filter((layer) => layer.family?.includes(family) ?? true)
      .map(({ origin, values }) => ({ origin, values, source: `recipe ${name} ${size}` })),
  ];
}
