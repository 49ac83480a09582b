import type { NamedParameter, ParameterGroup } from "@odis/torch";
import type { Recipe } from "./recipe.js";

/**
 * The groups of DINO and iBOT (`utils.get_params_groups`): biases and 1-D weights do not decay,
 * everything else does, tokens and position embeddings included. Weights that are not trained are
 * in none. With `layerDecay` or `patchLr` each depth has groups of its own, with a share of the
 * learning rate (DINOv2 `utils/param_groups.py`).
 */
export function parameterGroups(
  parameters: readonly NamedParameter[],
  { optim, model }: Pick<Recipe, "optim" | "model">,
): ParameterGroup[] {
  const scaleOf = (name: string): number =>
    optim.layerDecay ** (model.depth + 1 - layerOf(name, model.depth)) *
    (name.includes("patch_embed") ? optim.patchLr : 1);
  const groups = new Map<
    string,
    { decay: boolean; lrScale: number; parameters: NamedParameter[] }
  >();
  for (const parameter of parameters.filter(([, weight]) => weight.requiresGrad)) {
    const [decay, lrScale] = [!exempt(parameter), scaleOf(parameter[0])];
    const key = `${decay} ${lrScale}`;
    const group = groups.get(key);
    if (group) group.parameters.push(parameter);
    else groups.set(key, { decay, lrScale, parameters: [parameter] });
  }
  return [...groups.values()].toSorted((a, b) => Number(b.decay) - Number(a.decay));
}

/** 0 for what comes before the first block, then the blocks, and the heads and the last norm above. */
function layerOf(name: string, depth: number): number {
  const block = /\bblocks\.(\d+)\./.exec(name)?.[1];
  if (block !== undefined) return Number(block) + 1;
  return /_token$|pos_embed|patch_embed|masked_embed/.test(name) ? 0 : depth + 1;
}

function exempt([name, weight]: NamedParameter): boolean {
  return name.endsWith(".bias") || weight.shape.length === 1;
}
