import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@odis/torch";
import { RunError } from "../errors.js";
import { evaluate, type Evaluation } from "./evaluate.js";
import { loadTeacher } from "./load.js";
import type { EvaluateOptions } from "./options.js";
import { type Outcomes, readOutcomes, writeOutcomes } from "./outcomes-file.js";
import { type EvaluationData, openParts } from "./split.js";

/** An evaluation with what it was made from: the contents of `evaluation.json`. */
export interface RunEvaluation extends Evaluation {
  readonly version: 2;
  /** steps that the teacher had been trained for */
  readonly step: number;
  readonly data: EvaluationData;
  /** SHA-256 of the `outcomes.json` that belongs to it, hex */
  readonly outcomes: string;
}

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
  const { train, test } = await openParts(data);
  const teacher = loadTeacher(folder, device);
  try {
    const { network: trained, recipe, step } = teacher;
    const { evaluation, outcomes } = await evaluate({ ...options, recipe, trained, train, test });
    const written = writeOutcomes(outcomesFile(folder), outcomes);
    const result = { version: 2, step, data, outcomes: written, ...evaluation } as const;
    replaceFile(evaluationFile(folder), (descriptor) =>
      writeFileSync(descriptor, `${JSON.stringify(result, null, 1)}\n`),
    );
    return result;
  } finally {
    teacher.network.free();
  }
}

/** The run's evaluation, undefined when it has none. */
export function readEvaluation(folder: string): RunEvaluation | undefined {
  const file = evaluationFile(folder);
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new RunError(`${file}: not JSON; delete it and evaluate again.`, { cause: error });
  }
  if (!isEvaluation(value))
    throw new RunError(`${file}: not an evaluation of this release; delete it and evaluate again.`);
  return value;
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

function isEvaluation(value: unknown): value is RunEvaluation {
  return typeof value === "object" && value !== null && "version" in value && value.version === 2;
}

export function evaluationFile(folder: string): string {
  return join(folder, "evaluation.json");
}

function outcomesFile(folder: string): string {
  return join(folder, "outcomes.json");
}
