import { type ConfigLayer, settingsLayer } from "../config.js";
import { type RecipeName, recipeLayers } from "../train/recipes.js";
import type { Collected } from "./collect.js";
import { settingsFor, sizeOf } from "./fit.js";
import type { Geometry } from "./geometry.js";
import { headSettings } from "./heads.js";

/** The recipe that a network of these tokens would have been trained with. */
export function recipeNameFor({ cls, objects }: Geometry): RecipeName {
  if (objects === 0) return "ibot";
  return cls ? "odis-cls" : "odis";
}

/**
 * Layers of a recipe that fits a file's network exactly: its shape, its grid of patches, its heads.
 *
 * @param heads number of attention heads, over what the file or a convention says
 */
export function recipeFor(
  geometry: Geometry,
  { file, heads: projection }: Collected,
  heads: number | undefined,
): readonly ConfigLayer[] {
  const { patch, grid, objects } = geometry;
  const shape = settingsFor(geometry);
  const values = new Map<string, string | number>([
    ...shape,
    ...headSettings(projection),
    ...(heads === undefined ? [] : [["model.heads", heads] as const]),
    ["views.globals.size", patch * grid],
    // About the share of a global view that local views have in the published recipes.
    ["views.locals.size", patch * Math.max(1, Math.round((grid * 96) / 224))],
    ...(objects > 1
      ? ([
          ["views.object.count", objects],
          ["model.objectEmbedding", "each"],
        ] as const)
      : []),
  ]);
  return [
    ...recipeLayers(recipeNameFor(geometry), sizeOf(shape)),
    { ...settingsLayer([...values].map(([path, value]) => `${path}=${value}`)), source: file },
  ];
}
