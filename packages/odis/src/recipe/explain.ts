import type { ConfigLayer } from "../core/index.js";
import { type Recipe, resolveRecipe } from "./schema.js";
import type { Origin, RecipeLayer } from "./methods.js";

/** One value of a resolved recipe. */
export interface ExplainedValue {
  /** dotted, as `--set` takes it */
  readonly path: string;
  readonly value: unknown;
  readonly origin: Origin;
}

const iBot: Origin = { kind: "published", where: "bytedance/ibot README.md, ViT-S/16 command" };
const iBotMain: Origin = { kind: "published", where: "bytedance/ibot main_ibot.py" };
const iBotVit: Origin = { kind: "published", where: "bytedance/ibot models/vision_transformer.py" };
const dino: Origin = { kind: "published", where: "facebookresearch/dino main_dino.py" };
const odis: Origin = { kind: "paper", where: "ODIS (arXiv 2506.05409), method" };
const dinov2: Origin = {
  kind: "published",
  where: "facebookresearch/dinov2 configs/ssl_default_config.yaml",
};
const beit: Origin = {
  kind: "paper",
  where: "BEiT (arXiv 2106.08254), as in bytedance/ibot loader.py",
};
const ours: Origin = { kind: "ours", where: "see EXPERIMENTS.md" };
const followUp = (file: string): Origin => ({
  kind: "follow-up",
  where: `Cross-Time-Self-Distillation ${file}`,
});

/** Where the schema's own defaults come from; the longest prefix of a path counts. */
export const defaultOrigins: Readonly<Record<string, Origin>> = {
  name: ours,
  seed: iBotMain,
  model: iBotVit,
  "model.dropPath": iBot,
  "model.dropPathDepth": iBotVit,
  "model.dropRule": iBotVit,
  "model.tokens": odis,
  "model.objectAttention": odis,
  "model.objectEmbedding": followUp("training/models/vision_transformer.py"),
  "model.objectPosition": ours,
  head: { kind: "published", where: "bytedance/ibot models/head.py" },
  "head.prototypes": iBot,
  "head.normLastLayer": iBot,
  "head.share": odis,
  "views.drawnBy": ours,
  "views.globals": odis,
  "views.globals.scale": iBot,
  "views.globals.aspect": iBotMain,
  "views.locals": odis,
  "views.locals.scale": iBot,
  "views.locals.aspect": iBotMain,
  "views.flip": iBotMain,
  "views.masks": ours,
  "views.object": odis,
  "views.object.minArea": ours,
  "views.object.minVisible": ours,
  "views.object.count": odis,
  "views.object.overlap": ours,
  "views.object.weigh": ours,
  "views.visible": ours,
  "views.visible.margin": followUp("jobs/train/train_ibot_vidor_odis.sh"),
  "views.hidden": iBot,
  "views.hidden.aspect": beit,
  "views.hidden.shape": beit,
  "views.hidden.where": ours,
  "views.color": iBotMain,
  loss: iBot,
  "loss.clsWeight": odis,
  "loss.objectWeight": odis,
  "loss.patchWeight": odis,
  "loss.objectFrom": odis,
  "loss.koleoWeight": odis,
  "loss.sinkhornIterations": dinov2,
  "loss.objectTemperature": followUp("training/ibot_vidor_obj.py"),
  "loss.patchFromEpoch": iBotMain,
  "loss.patchCenterMomentum": iBotMain,
  "loss.objectCenterRows": followUp("training/ibot_vidor_obj.py"),
  "loss.objectCenters": ours,
  "loss.patchCenter": ours,
  "loss.pairMean": ours,
  optim: iBot,
  "optim.batch": ours,
  "optim.accumulate": ours,
  "optim.memory": ours,
  "optim.shard": ours,
  "optim.precision": followUp("jobs/train/train_ibot_vidor_odis.sh"),
  "optim.lrBatch": dino,
  "optim.lrScaling": dino,
  "optim.layerDecay": ours,
  "optim.patchLr": ours,
  "optim.beta1": iBotMain,
  "optim.beta2": iBotMain,
  teacher: iBot,
};

/**
 * Resolves a recipe and says of every value where it comes from.
 *
 * @throws ConfigError like `resolveRecipe`
 */
export function explainRecipe(layers: readonly (ConfigLayer | RecipeLayer)[]): {
  readonly recipe: Recipe;
  readonly values: readonly ExplainedValue[];
} {
  const recipe = resolveRecipe(layers);
  const values = [...leaves(recipe)].map(([path, value]) => ({
    path: path.join("."),
    value,
    origin: originOf(path, layers),
  }));
  return { recipe, values };
}

function originOf(path: readonly string[], layers: readonly (ConfigLayer | RecipeLayer)[]): Origin {
  const layer = layers.findLast(({ values }) => hasLeaf(values, path));
  if (layer) return "origin" in layer ? layer.origin : { kind: "given", where: layer.source };
  const origin = defaultOrigin(path);
  if (!origin) throw new Error(`internal: nobody says where ${path.join(".")} comes from`);
  return origin;
}

/** The origin of a schema default, undefined when the table does not know the path. */
export function defaultOrigin(path: readonly string[]): Origin | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const origin = defaultOrigins[path.slice(0, length).join(".")];
    if (origin) return origin;
  }
  return undefined;
}

function hasLeaf(values: unknown, path: readonly string[]): boolean {
  let at = values;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return false;
    at = Reflect.get(at, key);
  }
  return true;
}

/** Every value of a tree of settings; a list is one value. */
export function* leaves(
  tree: unknown,
  above: readonly string[] = [],
): Generator<readonly [path: readonly string[], value: unknown]> {
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) yield [above, tree];
  else for (const [key, value] of Object.entries(tree)) yield* leaves(value, [...above, key]);
}
