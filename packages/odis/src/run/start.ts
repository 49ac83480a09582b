import { existsSync } from "node:fs";
import { Generator } from "@odis/torch";
import type { Network } from "../model/index.js";
import { buildNetwork, copyWeights, type TrainState } from "../train/index.js";
import {
  collect,
  type Collected,
  describeOutcome,
  type Geometry,
  geometryOf,
  type ImportPlan,
  importWeights,
  openWeights,
  type Outcome,
  parseWeights,
  type PlainValue,
  planImport,
  recipeFor,
  type Side,
  type WeightFile,
} from "../formats/index.js";
import { checkpointOf, sha256 } from "./checkpoint.js";
import { checkRunFolder, openRunFolder, type RunLayout, runLayout } from "./folder.js";
import { saveCheckpoint } from "./save.js";
import { ConfigError, replaceText } from "../core/index.js";
import { resolveRecipe } from "../recipe/index.js";

/** What a run's configuration keeps of the weights that it started from. */
export interface StartRecord {
  /** as it was given */
  readonly file: string;
  readonly side?: Side | undefined;
  readonly parts: "all" | "backbone";
  /** of the file: a changed one would be another run */
  readonly sha256: string;
}

/** Opens weights; a run folder means its newest whole checkpoint. */
export function openNamedWeights(path: string): Promise<WeightFile> {
  return openWeights(
    existsSync(runLayout(path).config) && existsSync(runLayout(path).checkpoints)
      ? checkpointOf(path)
      : path,
  );
}

export function recordOf(
  path: string,
  file: WeightFile,
  { side }: Collected,
  parts: "all" | "backbone",
): StartRecord {
  return { file: path, side, parts, sha256: sha256(file.path) };
}

/**
 * Weights that fit a run's network; nothing is copied before `begin`.
 *
 * @param text `FILE[#teacher|#student][.backbone]`
 * @throws ConfigError, WeightsError, SafetensorsError saying what is wrong, before anything begins
 */
export async function openStart(text: string, student: Network): Promise<Start> {
  const { path, side, parts } = parseWeights(text);
  const file = await openNamedWeights(path);
  try {
    const collected = collect(file, side);
    const plan = planImport(collected, file.plain, student, parts);
    return new Start(file, plan, recordOf(path, file, collected, parts));
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

export class Start implements Disposable {
  constructor(
    private readonly file: WeightFile,
    private readonly plan: ImportPlan,
    readonly record: StartRecord,
  ) {}

  /**
   * Gives student and teacher the weights and notes in the run folder what became of each.
   *
   * @returns the same in a few lines
   */
  begin({ student, teacher }: TrainState, { init }: RunLayout): readonly string[] {
    importWeights(this.file, this.plan, student);
    copyWeights(student, teacher);
    writeOutcome(init, this.plan, this.record);
    const [first, ...more] = describeOutcome(this.plan);
    return [`starts from ${this.record.file}: ${first}`, ...more];
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}

/** Every weight and every tensor of the file by name, with what was done or why not. */
export function writeOutcome(path: string, outcome: Outcome, record: StartRecord): void {
  const { taken, fresh, unused, notes } = outcome;
  const said = {
    ...record,
    notes,
    taken: taken.map(({ to, from, how }) => ({ to, from, how })),
    fresh,
    unused,
  };
  replaceText(path, `${JSON.stringify(said, null, 1)}\n`);
}

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
  checkRunFolder(out);
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
