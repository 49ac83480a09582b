import type { Leftover, WeightSource } from "./find.js";
import { copy, fits, misfit, type NetworkWeight, type Transfer } from "./transfer.js";

/**
 * Layers that are taken together, and those that may stand in for them when the file has none of
 * their own, best first: prefixes of weight names.
 */
const units: readonly {
  readonly prefix: string;
  readonly standIns: readonly (readonly string[])[];
}[] = [
  { prefix: "head.mlp", standIns: [] },
  { prefix: "head.last_layer_obj", standIns: [["head.last_layer"]] },
  { prefix: "head.last_layer_patch", standIns: [["head.last_layer"]] },
  { prefix: "head.last_layer", standIns: [] },
  { prefix: "head_obj", standIns: [["head"]] },
  // iBOT's heads share their MLP, DINOv2's may share all.
  { prefix: "head_patch", standIns: [["head", "head.last_layer_patch"], ["head"]] },
];

/**
 * Takes the file's heads. A kind of token without a head in the file starts with that of [CLS]
 * when the shapes agree, and with a new one otherwise.
 *
 * @param heads undefined: they are left alone
 * @throws WeightsError when the file has such a head, but of another shape
 */
export function planHeads(
  file: string,
  wanted: readonly NetworkWeight[],
  heads: ReadonlyMap<string, WeightSource> | undefined,
): { readonly taken: readonly Transfer[]; readonly fresh: readonly Leftover[] } {
  const taken: Transfer[] = [];
  const fresh: Leftover[] = [];
  for (const { prefix, standIns } of units) {
    const weights = wanted.filter(({ name }) => name.startsWith(`${prefix}.`));
    const own = heads && ownLayers(file, weights, heads);
    const steps = own ?? (heads && standIn(prefix, standIns, weights, heads));
    const reason = heads ? "the file has no such head" : "only the backbone was asked for";
    if (steps) taken.push(...steps);
    else fresh.push(...weights.map(({ name }) => ({ name, reason })));
  }
  return { taken, fresh };
}

function ownLayers(
  file: string,
  weights: readonly NetworkWeight[],
  heads: ReadonlyMap<string, WeightSource>,
): readonly Transfer[] | undefined {
  if (!weights.some(({ name }) => heads.has(name))) return undefined;
  return weights.map((weight) => {
    const found = heads.get(weight.name);
    if (found && fits(found, weight)) return copy(found, weight);
    throw misfit(file, found, weight, remedy(heads));
  });
}

function standIn(
  prefix: string,
  candidates: readonly (readonly string[])[],
  weights: readonly NetworkWeight[],
  heads: ReadonlyMap<string, WeightSource>,
): readonly Transfer[] | undefined {
  for (const [from, lastLayer] of candidates) {
    const pairs = weights.map((weight) => {
      const layer = weight.name.replace(prefix, from!);
      const name = lastLayer ? layer.replace("head.last_layer", lastLayer) : layer;
      return { weight, found: heads.get(name) };
    });
    if (pairs.every(({ weight, found }) => found && fits(found, weight)))
      return pairs.map(({ weight, found }) => copy(found!, weight, "stands in for one of its own"));
  }
  return undefined;
}

/** What a recipe would have to say of its heads to take the file's, by dotted path. */
export function headSettings(
  heads: ReadonlyMap<string, WeightSource>,
): ReadonlyMap<string, string | number> {
  const rows = (name: string): number | undefined => heads.get(name)?.shape[0];
  const differs = (value: number | undefined, from: number | undefined): boolean =>
    value !== undefined && value !== from;
  const [hidden, bottleneck] = [rows("head.mlp.0.weight"), rows("head.mlp.4.weight")];
  const prototypes = rows("head.last_layer.weight_v");
  const own = rows("head_patch.last_layer.weight_v");
  const ofPatches = own ?? rows("head.last_layer_patch.weight_v");
  const narrower = rows("head_patch.mlp.4.weight");
  const apart = own === undefined ? "mlp" : "none";
  const found: readonly (readonly [string, string | number | undefined | false])[] = [
    ["head.hidden", hidden],
    ["head.bottleneck", bottleneck],
    ["head.prototypes", prototypes],
    // iBOT names a shared last layer twice, so equal numbers do not tell it from two.
    ["head.share", (own !== undefined || differs(ofPatches, prototypes)) && apart],
    ["head.patchPrototypes", differs(ofPatches, prototypes) && ofPatches],
    ["head.patchBottleneck", differs(narrower, bottleneck) && narrower],
  ];
  return new Map(found.filter((pair): pair is [string, string | number] => Boolean(pair[1])));
}

function remedy(heads: ReadonlyMap<string, WeightSource>): string {
  const set = [...headSettings(heads)].map(([path, value]) => `${path}=${value}`).join(" ");
  return `Give --set ${set} (heads of three layers without batch norm fit), or begin with new heads: FILE#backbone.`;
}
