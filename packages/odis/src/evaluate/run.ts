import { checkDevice } from "@odis/torch";
import { join } from "node:path";
import { checkReplaceable, readOwnText, replaceText, RunError } from "../core/index.js";
import { type EvaluateOptions, evaluateTogether } from "./evaluate.js";
import { type LoadedNetwork, loadTeacher } from "../run/index.js";
import { type RunEvaluation, savedEvaluation } from "./saved.js";
import { type Outcomes, readOutcomes, writeOutcomes } from "./outcome.js";
import { World } from "../train/index.js";
import { mainDataUse, settingsOf } from "./settings.js";
import { type EvaluationData, openSplitsTogether } from "./splits.js";

export interface EvaluateRunOptions
  extends Omit<EvaluateOptions, "recipe" | "trained" | "train" | "test"> {
  readonly data: EvaluationData;
  readonly device?: string | undefined;
}

/**
 * Evaluates the newest checkpoint of a run. Writes `evaluation.json` into its folder, and beside it
 * `outcomes.json`: what became of every test item, for `pairedDifference`.
 *
 * @param folder the run folder
 */
export async function evaluateRun(
  folder: string,
  options: EvaluateRunOptions,
): Promise<RunEvaluation> {
  return (await evaluateRunTogether(World.alone, folder, options))!;
}

/**
 * The same by several processes, all of which call this with the same options and see the run folder and
 * the data; the first writes.
 *
 * @returns undefined in all but the first
 * @throws as `evaluateTogether`
 */
export async function evaluateRunTogether(
  world: World,
  folder: string,
  { data, device, onProgress, signal, ...given }: EvaluateRunOptions,
): Promise<RunEvaluation | undefined> {
  const teacher = await world.together(loaded(world, folder, device));
  try {
    const { network: trained, recipe, step } = teacher;
    const settled = async () => settingsOf(given, recipe);
    const { limit, suites } = await world.together(settled()); // an error may be one process's own
    // Main data that nobody asks for is not looked through for pictures that are there twice.
    const known = mainDataUse({ suites }) === "none" ? { moved: [] } : {};
    const splits = await openSplitsTogether(world, data, { limit, ...known });
    const { train, test, moved } = splits;
    const options = { ...given, recipe, trained, train, test, onProgress, signal };
    const found = await evaluateTogether(world, options);
    if (!found) return undefined;
    const { evaluation, outcomes } = found;
    const written = writeOutcomes(outcomesFile(folder), outcomes);
    const result = { version: 2, step, data, moved, outcomes: written, ...evaluation } as const;
    replaceText(evaluationFile(folder), `${JSON.stringify(result, null, 1)}\n`);
    return result;
  } finally {
    teacher.network.free();
  }
}

/** The run's network, where the device is there and the first process can write what it finds. */
async function loaded(
  { rank }: World,
  folder: string,
  device: string | undefined,
): Promise<LoadedNetwork> {
  checkDevice(device ?? "cpu");
  if (rank === 0)
    for (const path of [evaluationFile(folder), outcomesFile(folder)]) checkReplaceable(path);
  return loadTeacher(folder, device);
}

/**
 * The run's evaluation, undefined when it has none.
 *
 * @throws RunError when the file is damaged, or of another release
 */
export function readEvaluation(folder: string): RunEvaluation | undefined {
  const file = evaluationFile(folder);
  const text = readOwnText(file);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RunError(`${file}: not JSON; delete it and evaluate again.`, { cause: error });
  }
  const parsed = savedEvaluation(value);
  if (typeof parsed !== "string") return parsed;
  throw new RunError(
    `${file}: not an evaluation of this release (${parsed}); delete it and evaluate again.`,
  );
}

/**
 * What became of every test item of the run's evaluation, undefined when it has none.
 *
 * @throws RunError when the file is missing, damaged, or another evaluation's
 */
export function readRunOutcomes(folder: string): Outcomes | undefined {
  const evaluation = readEvaluation(folder);
  return evaluation && readOutcomes(outcomesFile(folder), evaluation.outcomes);
}

export function evaluationFile(folder: string): string {
  return join(folder, "evaluation.json");
}

function outcomesFile(folder: string): string {
  return join(folder, "outcomes.json");
}
