import { isDeepStrictEqual } from "node:util";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError, plain, readOwnText, replaceText, RunError } from "../core/index.js";
import type { Recipe } from "../recipe/index.js";
import { loadTeacher, readRunConfig, recipeOf } from "../run/index.js";
import { evaluate, type EvaluateOptions } from "./evaluate.js";
import { readEvaluation } from "./run.js";
import { headlineOf } from "./settings.js";
import { openSplits } from "./splits.js";

/** What a network that was trained for longer reaches where a run was evaluated. */
export interface Outlook {
  /** its name, of those that come with odis */
  readonly network: string;
  readonly step: number;
  /** whether its recipe is the run's, but for length and seed */
  readonly same: boolean;
  /** the headline's figure, with its 95 % interval, 0..1 */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const share = z.number().min(-1).max(1);
const schema = z.strictObject({
  network: z.string(),
  step: z.int().min(0),
  same: z.boolean(),
  value: share,
  low: share,
  high: share,
});

/**
 * Evaluates a network that comes with odis as a run was evaluated, so that people see where longer
 * training leads. Writes `outlook.json` into the run's folder.
 *
 * @param folder an evaluated run
 * @param network a name
 * @throws ConfigError when the run has no evaluation, or one without a figure
 */
export async function evaluateOutlook(
  folder: string,
  network: string,
  { onProgress }: Pick<EvaluateOptions, "onProgress"> = {},
): Promise<Outlook> {
  const done = readEvaluation(folder);
  const headline = done && headlineOf(done.settings, done.train.objects);
  if (!done || !headline)
    throw new ConfigError(`${plain(folder)}: has no evaluation to set another network beside.`);
  const splits = await openSplits(done.data, { limit: done.settings.limit, moved: done.moved });
  const { network: trained, recipe, step } = loadTeacher(network);
  try {
    const { evaluation } = await evaluate({
      ...done.settings,
      baselines: false,
      recipe,
      trained,
      train: splits.train,
      test: splits.test,
      onProgress,
    });
    const measure = `trained/${headline.figure.measure}`;
    const found = evaluation.measurements.find(({ name }) => name === measure);
    if (!found) throw new ConfigError(`${plain(network)}: ${measure} could not be measured.`);
    const { value, low, high } = found;
    const own = recipeOf(readRunConfig(folder), folder);
    const same = isDeepStrictEqual(withoutLength(recipe), withoutLength(own));
    const outlook = { network, step, same, value, low, high };
    replaceText(outlookFile(folder), `${JSON.stringify(outlook, null, 1)}\n`);
    return outlook;
  } finally {
    trained.free();
  }
}

function withoutLength({ seed: _seed, optim, ...recipe }: Recipe): object {
  const { steps: _steps, epochs: _epochs, ...rest } = optim;
  return { ...recipe, optim: rest };
}

/**
 * What was found out of longer training; undefined when nobody asked.
 *
 * @throws RunError when the file is damaged
 */
export function readOutlook(folder: string): Outlook | undefined {
  const file = outlookFile(folder);
  const text = readOwnText(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new RunError(`${file}: damaged; delete it and write the report again.`, { cause: error });
  }
}

const outlookFile = (folder: string): string => join(folder, "outlook.json");
