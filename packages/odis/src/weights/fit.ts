import { WeightsError } from "../errors.js";
import type { BackboneConfig } from "../model/backbone.js";
import { resolveRecipe } from "../train/recipe.js";
import { modelNames, recipeLayers } from "../train/recipes.js";
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

/** The shortest options of the command line for these settings: `--model` where a size has them. */
export function optionsFor(settings: ReadonlyMap<string, string | number>): string {
  const size = modelNames.find((name) => {
    const { model } = resolveRecipe(recipeLayers("odis", name));
    return ["dim", "depth", "heads"].every(
      (key) =>
        (settings.get(`model.${key}`) ?? Reflect.get(model, key)) === Reflect.get(model, key),
    );
  });
  const { model } = resolveRecipe(recipeLayers("odis", size ?? "vit-s"));
  const rest = [...settings].filter(
    ([path, value]) => Reflect.get(model, path.replace("model.", "")) !== value,
  );
  const set = rest.map(([path, value]) => `${path}=${value}`).join(" ");
  return [size && `--model ${size}`, set && `--set ${set}`].filter(Boolean).join(" ");
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
