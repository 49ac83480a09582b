import { type ConfigLayer, settingsLayer, WeightsError } from "../core/index.js";
import type { BackboneConfig } from "../model/index.js";
import {
  modelNames,
  type ModelSize,
  type Recipe,
  recipeLayers,
  type RecipeName,
  resolveRecipe,
} from "../recipe/index.js";
import type { FileNetwork } from "./find.js";
import { headSettings } from "./heads.js";
import type { NetworkShape } from "./shape.js";

/** What a recipe would have to say of its network to take such weights, by dotted path. */
export function settingsFor(theirs: NetworkShape): ReadonlyMap<string, string | number> {
  const { dim, depth, heads, mlpRatio, ffn, patch, layerScale, normEpsilon } = theirs;
  return new Map<string, string | number>([
    ["model.dim", dim],
    ["model.depth", depth],
    ...(heads ? ([["model.heads", heads.count]] as const) : []),
    ["model.mlpRatio", mlpRatio],
    ["model.ffn", ffn],
    ["model.patch", patch],
    // Trained weights replace the initial value; it only says that there is LayerScale.
    ["model.layerScale", layerScale ? 1e-5 : 0],
    ...(normEpsilon === undefined ? [] : ([["model.normEpsilon", normEpsilon]] as const)),
  ]);
}

/** The size of our own whose width, depth and heads these are, if there is one. */
function sizeOf(settings: ReadonlyMap<string, unknown>): ModelSize | undefined {
  return modelNames.find((name) => {
    const { model } = resolveRecipe(recipeLayers("odis", name));
    const agrees = (key: "dim" | "depth" | "heads"): boolean =>
      (settings.get(`model.${key}`) ?? model[key]) === model[key];
    return agrees("dim") && agrees("depth") && agrees("heads");
  });
}

/**
 * The options that train on from such weights: the network, its heads, and views that its patches
 * divide where the recipe's own are none.
 */
export function trainingOptions(
  theirs: NetworkShape,
  projection: ReadonlyMap<string, string | number>,
): string {
  const { heads, patch } = theirs;
  const settings = new Map([
    ...settingsFor(theirs),
    ...(heads ? [] : ([["model.heads", "HEADS"]] as const)),
    ...projection,
  ]);
  const { views } = resolveRecipe(recipeLayers("odis", sizeOf(settings)));
  for (const kind of ["globals", "locals"] as const) {
    const { size } = views[kind];
    if (size % patch !== 0)
      settings.set(`views.${kind}.size`, patch * Math.max(1, Math.round(size / patch)));
  }
  return optionsFor(settings);
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
export function checkFit(
  file: string,
  theirs: NetworkShape,
  config: Recipe["model"] | BackboneConfig,
): void {
  const settings = settingsFor(theirs);
  const differ = [...settings].flatMap(([path, value]) => {
    const mine = Reflect.get(config, path.replace("model.", "")) as string | number;
    const same =
      path === "model.layerScale" ? Number(mine) > 0 === Number(value) > 0 : mine === value;
    // A convention is no knowledge: the recipe may know better. Another epsilon is told in a note.
    const open =
      (path === "model.heads" && theirs.heads?.from !== "file") || path === "model.normEpsilon";
    return same || open ? [] : [`${path} is ${value} in the file and ${mine} in the recipe`];
  });
  if (differ.length === 0) return;
  throw new WeightsError(
    file,
    `does not fit the recipe's network: ${differ.join("; ")}. Give ${optionsFor(settings)}, or other weights.`,
  );
}

/** The recipe that a network of these tokens would have been trained with. */
function recipeNameFor({ cls, objects }: NetworkShape): RecipeName {
  if (objects === 0) return "ibot";
  return cls ? "odis-cls" : "odis";
}

/**
 * Layers of a recipe that fits a file's network: its shape, its heads, and its grid of patches, or
 * the square nearest to it.
 *
 * @param heads number of attention heads, over what the file or a convention says
 */
export function recipeFor(
  theirs: NetworkShape,
  { file, heads: projection }: FileNetwork,
  heads: number | undefined,
): readonly ConfigLayer[] {
  const { patch, grid, objects } = theirs;
  const side = Math.max(1, Math.round(Math.sqrt(grid.rows * grid.columns)));
  const shape = settingsFor(theirs);
  const values = new Map<string, string | number>([
    ...shape,
    ...headSettings(projection),
    ...(heads === undefined ? [] : [["model.heads", heads] as const]),
    ["views.globals.size", patch * side],
    // About the share of a global view that local views have in the published recipes.
    ["views.locals.size", patch * Math.max(1, Math.round((side * 96) / 224))],
    ...(objects > 1
      ? ([
          ["views.object.count", objects],
          ["model.objectEmbedding", "each"],
        ] as const)
      : []),
  ]);
  return [
    ...recipeLayers(recipeNameFor(theirs), sizeOf(shape)),
    { ...settingsLayer([...values].map(([path, value]) => `${path}=${value}`)), source: file },
  ];
}
