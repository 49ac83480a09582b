import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import {
  firstProblem,
  nearest,
  parsedJson,
  plain,
  readOwnText,
  RunError,
  statOf,
} from "../core/index.js";
import {
  checkFit,
  type FileNetwork,
  findNetwork,
  headSettings,
  importWeights,
  openSafetensorsWeights,
  planImport,
  shapeOf,
  type Side,
  type WeightFile,
} from "../formats/index.js";
import { type Recipe, recipeSchema } from "../recipe/index.js";
import { buildNetwork } from "../train/index.js";
import type { LoadedNetwork } from "./load.js";

/** What a network's folder holds beside its card. */
const weightsName = "model.safetensors";
const curveName = "curve.json";

/**
 * Folders of networks by name, each with `model.safetensors` (written by `odis export --format
 * odis`) and a card: those of `ODIS_WEIGHTS`, and those that come with this package.
 */
function places(): readonly string[] {
  const own = process.env["ODIS_WEIGHTS"];
  return [...(own ? [own] : []), fileURLToPath(new URL("../../weights/", import.meta.url))];
}

/** Names of the networks that can be used without a path. */
export function shippedNames(): readonly string[] {
  const names = places().flatMap((place) =>
    existsSync(place)
      ? readdirSync(place).filter((name) => existsSync(join(place, name, weightsName)))
      : [],
  );
  return [...new Set(names)].toSorted();
}

/** The file of a network that comes with odis; undefined for other words. */
export function shippedFile(name: string): string | undefined {
  if (!shippedNames().includes(name)) return undefined;
  return places()
    .map((place) => join(place, name, weightsName))
    .find((file) => existsSync(file));
}

const share = z.number().min(0).max(1);

const curveSchema = z.strictObject({
  /** images of a step */
  batch: z.int().positive(),
  /** threads of the engine, and the time that all steps took them */
  threads: z.int().positive(),
  seconds: z.number().positive(),
  /** on what, as a clause */
  measured: z.string(),
  /** k-NN top-1 of objects with their masks and without, by steps */
  points: z
    .array(z.strictObject({ step: z.int().min(0), mask: share, none: share }))
    .min(2)
    .refine((points) => points.every(({ step }, at) => at === 0 || step > points[at - 1]!.step), {
      error: "steps do not ascend",
    })
    .readonly(),
});
/** How a network that comes with odis became what it is. */
export type TrainingCurve = Readonly<z.infer<typeof curveSchema>>;

/**
 * The curve of a network that comes with odis; undefined where it has none.
 *
 * @throws RunError when its file is no curve
 */
export function shippedCurve(name: string): TrainingCurve | undefined {
  const file = shippedFile(name);
  const path = file && join(dirname(file), curveName);
  const text = path && readOwnText(path);
  if (text === undefined) return undefined;
  const value = parsedJson(text);
  const parsed = curveSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RunError(
    `${plain(path!)}: not the curve of a training: ${firstProblem(value, parsed.error)}. ` +
      `Take it away: the network needs none.`,
  );
}

/**
 * The file that a path or name means, where it is no run and no checkpoint: one that odis exported,
 * or a network that comes with odis. What lies at the path goes before a network of that name.
 */
export function exportedFile(path: string): string | undefined {
  const stat = statOf(path);
  if (stat === undefined) return shippedFile(path);
  return stat.isDirectory() ? undefined : path;
}

/** What to say of a path where there is nothing. */
export function unknownPlace(path: string): RunError {
  const names = shippedNames();
  const close = nearest(path, names);
  const known = names.length > 0 ? `, or one of ${names.join(", ")}` : "";
  return new RunError(
    `${plain(path)} does not exist; wanted a run folder, a checkpoint, a file of odis export --format odis` +
      `${known}${close === undefined ? "" : `. Did you mean ${close}?`}`,
  );
}

/**
 * The network of a file that odis exported, built by the recipe in it.
 *
 * @throws RunError when the file is none, or holds the other network; WeightsError when it is damaged
 */
export function loadExported(path: string, side: Side, device: string): LoadedNetwork {
  using file = openSafetensorsWeights(path);
  const found = findNetwork(file);
  const { recipe, step } = exportedRecipe(found, file.plain);
  const held = file.plain.get("odis.side") ?? "teacher";
  if (held !== side)
    throw new RunError(`${path}: holds the ${plain(String(held))}, not the ${side}.`);
  const network = buildNetwork(recipe, side).requiresGrad_(false);
  const plan = planImport(found, file.plain, network);
  const [missing] = plan.fresh;
  if (missing)
    throw new RunError(`${path}: ${missing.name} is missing (${missing.reason}). Export it again.`);
  importWeights(file, plan, network);
  return { network: network.to(device), recipe, step, checkpoint: path };
}

function checkHeads({ file: path, heads }: FileNetwork, { head }: Recipe): void {
  const settings = new Map(headSettings(heads));
  for (const name of ["hidden", "bottleneck", "prototypes"] as const) {
    const got = settings.get(`head.${name}`);
    if (got !== head[name])
      throw new RunError(
        `${path}: head.${name} is ${got ?? "unknown"} by its weights and ${head[name]} by its recipe. ` +
          `Export it again.`,
      );
  }
}

/**
 * The recipe that a file of `odis export --format odis` keeps, and the steps that were done by it.
 *
 * @throws RunError when it has none, one of another release, or one of another network
 */
export function exportedRecipe(
  found: FileNetwork,
  leaves: WeightFile["plain"],
): { readonly recipe: Recipe; readonly step: number } {
  const { file: path } = found;
  const text = leaves.get("odis.recipe");
  if (typeof text !== "string")
    throw new RunError(
      `${path}: holds no recipe, so odis export --format odis did not make it. Make it a run: odis import.`,
    );
  const step = Number(leaves.get("odis.step") ?? 0);
  const value = parsedJson(text);
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) {
    // Before anything is built: a recipe can ask for more memory than there is, weights are there.
    checkFit(path, shapeOf(found, leaves), parsed.data.model);
    checkHeads(found, parsed.data);
    return { recipe: parsed.data, step: Number.isSafeInteger(step) && step > 0 ? step : 0 };
  }
  throw new RunError(
    `${path}: its recipe is not one of this release: ${firstProblem(value, parsed.error)}. ` +
      `Use the release that made it.`,
  );
}
