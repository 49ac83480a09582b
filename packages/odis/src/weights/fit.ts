import { WeightsError } from "../errors.js";
import type { BackboneConfig } from "../model/backbone.js";
import { type Recipe, resolveRecipe } from "../train/recipe.js";
import { type ModelSize, modelNames, recipeLayers } from "../train/recipes.js";
import type { Geometry } from "./geometry.js";

/** What a recipe would have to say of its network to take such weights, by dotted path. */
export function settingsFor(geometry: Geometry): ReadonlyMap<string, string | number> {
  const { dim, depth, heads, mlpRatio, ffn, patch, layerScale } = geometry;
  return new Map<string, string | number>([
    ["model.dim", dim],
    ["model.depth", depth],
    ...(heads ? ([["model.heads", heads.count]] as const) : []),
    ["model.mlpRatio", mlpRatio],
    ["model.ffn", ffn],
    ["model.patch", patch],
    // Trained weights replace the initial value; it only says that there is LayerScale.
    ["model.layerScale", layerScale ? 1e-5 : 0],
  ]);
}

/** The size of our own whose width, depth and heads these are, if there is one. */
export function sizeOf(settings: ReadonlyMap<string, unknown>): ModelSize | undefined {
  return modelNames.find((name) => {
    const { model } = resolveRecipe(recipeLayers("odis", name));
    const agrees = (key: "dim" | "depth" | "heads"): boolean =>
      (settings.get(`model.${key}`) ?? model[key]) === model[key];
    return agrees("dim") && agrees("depth") && agrees("heads");
  });
}

/** The shortest options of the command line for these settings: `--model` where a size has them. */
export function optionsFor(settings: ReadonlyMap<string, string | number>): string {
  const size = sizeOf(settings);
  const recipe = resolveRecipe(recipeLayers("odis", size));
  const rest = [...settings].filter(([path, value]) => at(recipe, path) !== value);
  const set = rest.map(([path, value]) => `${path}=${value}`).join(" ");
  return [size && `--model ${size}`, set && `--set ${set}`].filter(Boolean).join(" ");
}

function at(recipe: Recipe, path: string): unknown {
  return path.split(".").reduce<unknown>((tree, key) => Reflect.get(Object(tree), key), recipe);
}

/**
 * @throws WeightsError when a network of the recipe cannot take such weights: what differs, and the
 *   options that would fit. Another grid of patches is no hindrance: positions are resized
 */
export function checkFit(file: string, geometry: Geometry, config: BackboneConfig): void {
  const settings = settingsFor(geometry);
  const differ = [...settings].flatMap(([path, value]) => {
    const mine = Reflect.get(config, path.replace("model.", "")) as string | number;
    const same =
      path === "model.layerScale" ? Number(mine) > 0 === Number(value) > 0 : mine === value;
    // A convention is no knowledge: the recipe may know better.
    const open = path === "model.heads" && geometry.heads?.from !== "file";
    return same || open ? [] : [`${path} is ${value} in the file and ${mine} in the recipe`];
  });
  if (differ.length === 0) return;
  throw new WeightsError(
    file,
    `does not fit the recipe's network: ${differ.join("; ")}. Give ${optionsFor(settings)}, or other weights.`,
  );
}
