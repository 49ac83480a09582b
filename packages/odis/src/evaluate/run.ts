import { join } from "node:path";
import {
  checkReplaceable,
  DataError,
  readOwnText,
  replaceText,
  Rng,
  RunError,
} from "../core/index.js";
import { evaluate, type Evaluation } from "./evaluate.js";
import { loadTeacher } from "../run/index.js";
import type { EvaluateOptions } from "./options.js";
import { type Outcomes, readOutcomes, writeOutcomes } from "./outcome.js";
import { type DataSource, type DataSpec, openSource } from "../data/index.js";

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
  for (const path of [evaluationFile(folder), outcomesFile(folder)]) checkReplaceable(path);
  const { train, test } = await openParts(data);
  const teacher = loadTeacher(folder, device);
  try {
    const { network: trained, recipe, step } = teacher;
    const { evaluation, outcomes } = await evaluate({ ...options, recipe, trained, train, test });
    const written = writeOutcomes(outcomesFile(folder), outcomes);
    const result = { version: 2, step, data, outcomes: written, ...evaluation } as const;
    replaceText(evaluationFile(folder), `${JSON.stringify(result, null, 1)}\n`);
    return result;
  } finally {
    teacher.network.free();
  }
}

/** The run's evaluation, undefined when it has none. */
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

/** What an evaluation compares; JSON. Without test data a fifth of the images is held out. */
export interface EvaluationData {
  readonly train: DataSpec;
  readonly test?: DataSpec | undefined;
}

const heldOut = 0.2;

/** Opens both parts. The images held out are the same at every call. */
export async function openParts({
  train,
  test,
}: EvaluationData): Promise<{ readonly train: DataSource; readonly test: DataSource }> {
  const source = await openSource(train);
  if (test) return { train: source, test: await openSource(test) };
  if (source.size < 2)
    throw new DataError(
      `evaluation: the data set has ${source.size} image; wanted 2 or more, so that some can be ` +
        `held out, or test data of its own.`,
    );
  const order = [...new Rng("held out").permutation(source.size)];
  const size = Math.max(1, Math.round(heldOut * source.size));
  return { train: subset(source, order.slice(size)), test: subset(source, order.slice(0, size)) };
}

/** Some images of a source, in the order given. */
export function subset(source: DataSource, indices: readonly number[]): DataSource {
  return {
    size: indices.length,
    classes: source.classes,
    key: (index) => source.key(indices[index]!),
    read: (index) => source.read(indices[index]!),
  };
}
