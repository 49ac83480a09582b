import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@odis/torch";
import { RunError } from "../errors.js";
import { evaluate, type EvaluateOptions, type Evaluation } from "./evaluate.js";
import { loadTeacher } from "./load.js";
import { type EvaluationData, openParts } from "./split.js";

/** An evaluation with what it was made from: the contents of `evaluation.json`. */
export interface RunEvaluation extends Evaluation {
  readonly version: 1;
  /** steps that the teacher had been trained for */
  readonly step: number;
  readonly data: EvaluationData;
}

export interface EvaluateRunOptions
  extends Omit<EvaluateOptions, "recipe" | "trained" | "train" | "test"> {
  readonly data: EvaluationData;
  readonly device?: string | undefined;
}

/**
 * Evaluates the newest checkpoint of a run and writes `evaluation.json` into its folder.
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
    const evaluation = await evaluate({ ...options, recipe, trained, train, test });
    const result = { version: 1, step, data, ...evaluation } as const;
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

function isEvaluation(value: unknown): value is RunEvaluation {
  return typeof value === "object" && value !== null && "version" in value && value.version === 1;
}

function evaluationFile(folder: string): string {
  return join(folder, "evaluation.json");
}
