import { Generator } from "@odis/torch";
import { ConfigError } from "../errors.js";
import { resolveRecipe } from "../train/recipe.js";
import { buildNetwork } from "../train/state.js";
import { collect, type Collected } from "../weights/collect.js";
import type { PlainValue } from "../weights/file.js";
import { type Geometry, geometryOf } from "../weights/geometry.js";
import { importWeights } from "../weights/import.js";
import { type Outcome, planImport } from "../weights/plan.js";
import { recipeFor } from "../weights/recipe-for.js";
import { parseWeights } from "../weights/spec.js";
import { saveCheckpoint } from "./checkpoint.js";
import { openRunFolder } from "./folder.js";
import { openNamedWeights, recordOf, writeOutcome } from "./start.js";

/** What a file of weights holds. */
export interface Inspection {
  readonly collected: Collected;
  readonly geometry: Geometry;
  /** what else it says, by full name */
  readonly plain: ReadonlyMap<string, PlainValue>;
}

/**
 * Looks into weights without reading them.
 *
 * @param text `FILE[#teacher|#student][.backbone]`
 * @throws WeightsError, SafetensorsError when there is no network that odis knows
 */
export async function inspectWeights(text: string): Promise<Inspection> {
  const { path, side } = parseWeights(text);
  using file = await openNamedWeights(path);
  const collected = collect(file, side);
  return { collected, geometry: geometryOf(collected, file.plain), plain: file.plain };
}

/**
 * Makes other people's weights the teacher of a run at step 0, so that whatever reads runs
 * (evaluate, export, `load`) reads them. The recipe is made to fit; nothing is resized.
 *
 * @param heads number of attention heads, where the file does not say
 * @throws ConfigError when the heads are unknown; WeightsError when the weights are not usable
 */
export async function importRun(
  text: string,
  out: string,
  { heads }: { readonly heads?: number | undefined } = {},
): Promise<Outcome> {
  const { path, side, parts } = parseWeights(text);
  using file = await openNamedWeights(path);
  const collected = collect(file, side);
  const geometry = geometryOf(collected, file.plain);
  if (heads === undefined && !geometry.heads)
    throw new ConfigError(
      `heads: the file does not say how many attention heads its network of width ${geometry.dim} has, ` +
        `and published ones have 64 channels each; wanted their number (--heads)`,
    );
  const recipe = resolveRecipe(recipeFor(geometry, collected, heads));
  const network = buildNetwork(recipe, "teacher")
    .init(new Generator(recipe.seed))
    .requiresGrad_(false);
  try {
    const plan = planImport(collected, file.plain, network, parts);
    importWeights(file, plan, network);
    const init = recordOf(path, file, collected, parts);
    const config = { recipe, init };
    using folder = openRunFolder(out, config);
    const tensors = network.namedParameters().map(([name, weight]) => ({
      name: `teacher.${name}`,
      shape: weight.shape,
      dtype: weight.dtype,
      data: () => weight.toArray(),
    }));
    saveCheckpoint(folder.layout.checkpoints, { step: 0, config, state: {} }, tensors, 1);
    writeOutcome(folder.layout.init, plan, init);
    folder.log(`imported from ${text}`);
    return plan;
  } finally {
    network.free();
  }
}
