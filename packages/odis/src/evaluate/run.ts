import { join } from "node:path";
import { checkReplaceable, readOwnText, replaceText, RunError } from "../core/index.js";
import { evaluate, type EvaluateOptions } from "./evaluate.js";
import { loadTeacher } from "../run/index.js";
import { type RunEvaluation, savedEvaluation } from "./saved.js";
import { type Outcomes, readOutcomes, writeOutcomes } from "./outcome.js";
import { type EvaluationData, openSplits } from "./splits.js";

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
  { data, device, ...options }: EvaluateRunOptions,
): Promise<RunEvaluation> {
  for (const path of [evaluationFile(folder), outcomesFile(folder)]) checkReplaceable(path);
  const { train, test, moved } = await openSplits(data, { limit: options.limit });
  const teacher = loadTeacher(folder, device);
  try {
    const { network: trained, recipe, step } = teacher;
    const { evaluation, outcomes } = await evaluate({ ...options, recipe, trained, train, test });
    const written = writeOutcomes(outcomesFile(folder), outcomes);
    const result = { version: 2, step, data, moved, outcomes: written, ...evaluation } as const;
    replaceText(evaluationFile(folder), `${JSON.stringify(result, null, 1)}\n`);
    return result;
  } finally {
    teacher.network.free();
  }
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
