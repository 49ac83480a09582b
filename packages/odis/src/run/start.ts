import { existsSync } from "node:fs";
import { Generator } from "@odis/torch";
import type { Network } from "../model/index.js";
import { buildNetwork, copyWeights, type TrainState } from "../train/index.js";
import {
  findNetwork,
  type FileNetwork,
  describeImport,
  type NetworkShape,
  shapeOf,
  type ImportPlan,
  importWeights,
  openWeights,
  type ImportReport,
  parseWeights,
  type PlainValue,
  planImport,
  recipeFor,
  type Side,
  type WeightFile,
  type WeightsSpec,
} from "../formats/index.js";
import { checkpointOf, sha256 } from "./checkpoint.js";
import { checkRunFolder, openRunFolder, type RunLayout, runLayout } from "./folder.js";
import { saveCheckpoint } from "./save.js";
import { exportedFile, exportedRecipe } from "./shipped.js";
import { ConfigError, replaceText, shellWord, WeightsError } from "../core/index.js";
import { resolveRecipe } from "../recipe/index.js";

/** What a run's configuration keeps of the weights that it started from. */
export interface StartRecord {
  /** as it was given */
  readonly file: string;
  readonly side?: Side | undefined;
  readonly parts: "all" | "backbone";
  /** rows and columns of patches, where they were given */
  readonly grid?: WeightsSpec["grid"];
  /** of the file: a changed one would be another run */
  readonly sha256: string;
}

/** Opens weights; a run folder means its newest whole checkpoint, a known name what comes with odis. */
export async function openNamedWeights(path: string): Promise<WeightFile> {
  const isRun = existsSync(runLayout(path).config) && existsSync(runLayout(path).checkpoints);
  return openWeights(isRun ? checkpointOf(path) : (exportedFile(path) ?? path));
}

export function recordOf(
  { path, parts, grid }: WeightsSpec,
  file: WeightFile,
  { side }: FileNetwork,
): StartRecord {
  return { file: path, side, parts, ...(grid && { grid }), sha256: sha256(file.path) };
}

/**
 * Gives a run's student the weights of a file.
 *
 * @param text `FILE[#teacher|#student][.backbone][.grid=ROWSxCOLUMNS]`
 * @throws ConfigError, WeightsError, SafetensorsError saying what is wrong, before anything begins
 */
export async function openStart(text: string, student: Network): Promise<Start> {
  const spec = parseWeights(text);
  using file = await openNamedWeights(spec.path);
  const found = findNetwork(file, spec.side);
  const plan = planImport(found, file.plain, student, spec);
  const record = recordOf(spec, file, found);
  importWeights(file, plan, student);
  return new Start(plan, record);
}

/** What a run that does not go on begins with. */
export class Start {
  constructor(
    private readonly plan: ImportPlan,
    readonly record: StartRecord,
  ) {}

  /**
   * Gives the teacher the student's weights and notes in the run folder what became of each.
   *
   * @returns the same in a few lines
   */
  begin({ student, teacher }: TrainState, { init }: RunLayout): readonly string[] {
    copyWeights(student, teacher);
    writeReport(init, this.plan, this.record);
    const [first, ...more] = describeImport(this.plan);
    return [`starts from ${this.record.file}: ${first}`, ...more];
  }
}

/** Every weight and every tensor of the file by name, with what was done or why not. */
export function writeReport(path: string, report: ImportReport, record: StartRecord): void {
  const { taken, fresh, unused, notes } = report;
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
  readonly network: FileNetwork;
  readonly shape: NetworkShape;
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
  const { path, side, grid } = parseWeights(text);
  using file = await openNamedWeights(path);
  const network = findNetwork(file, side);
  return { network, shape: shapeOf(network, file.plain, grid), plain: file.plain };
}

/**
 * Makes other people's weights the teacher of a run at step 0, so that whatever reads runs
 * (evaluate, export, `load`) reads them. The recipe is made to fit; only positions that are not laid
 * out for a square are resized. A file of `odis export --format odis` becomes a run with its own
 * recipe, at the step that it was exported at.
 *
 * @param heads number of attention heads, where the file does not say
 * @throws ConfigError when the heads are unknown; WeightsError when the weights are not usable
 */
export async function importRun(
  text: string,
  out: string,
  { heads }: { readonly heads?: number | undefined } = {},
): Promise<ImportReport> {
  checkRunFolder(out);
  const spec = parseWeights(text);
  using file = await openNamedWeights(spec.path);
  const found = findNetwork(file, spec.side);
  const shape = shapeOf(found, file.plain, spec.grid);
  if (!shape.cls && shape.objects === 0)
    throw new WeightsError(
      file.path,
      `its network has no class token, and a run's has one, which its patches would attend to: their ` +
        `features would be others. Train on from it, with a new token: odis pretrain --init ${shellWord(text)}.`,
    );
  if (heads === undefined && !shape.heads)
    throw new ConfigError(
      `heads: the file does not say how many attention heads its network of width ${shape.dim} has, ` +
        `and published ones have 64 channels each; wanted their number (--heads)`,
    );
  // Exports for other programs carry the recipe, too, but not its heads.
  const { recipe, step } =
    file.plain.has("odis.recipe") && found.heads.size > 0
      ? exportedRecipe(found, file.plain)
      : { recipe: resolveRecipe(recipeFor(shape, found, heads)), step: 0 };
  const network = buildNetwork(recipe, "teacher")
    .init(new Generator(recipe.seed))
    .requiresGrad_(false);
  try {
    const plan = planImport(found, file.plain, network, spec);
    importWeights(file, plan, network);
    const init = recordOf(spec, file, found);
    const config = { recipe, init };
    using folder = openRunFolder(out, config);
    const tensors = network.namedParameters().map(([name, weight]) => ({
      name: `teacher.${name}`,
      shape: weight.shape,
      dtype: weight.dtype,
      data: () => weight.toArray(),
    }));
    saveCheckpoint(folder.layout.checkpoints, { step, config, state: {} }, tensors, 1);
    writeReport(folder.layout.init, plan, init);
    folder.log(`imported from ${text}`);
    return plan;
  } finally {
    network.free();
  }
}
