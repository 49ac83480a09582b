import { isDeepStrictEqual } from "node:util";
import { join } from "node:path";
import { z } from "zod";
import {
  ConfigError,
  plain,
  readOwnText,
  replaceText,
  RunError,
  shellWord,
} from "../core/index.js";
import type { Recipe } from "../recipe/index.js";
import { loadTeacher, readRunConfig, recipeOf, shippedFile, shippedNames } from "../run/index.js";
import { evaluate, type EvaluateOptions } from "./evaluate.js";
import { readEvaluation } from "./run.js";
import { figure, type RunEvaluation } from "./saved.js";
import { headlineOf } from "./settings.js";
import { openSplits } from "./splits.js";

/** What a network that was trained for longer reaches where a run was evaluated. */
export interface Outlook {
  /** SHA-256 of the outcomes of the evaluation that it was set beside, hex */
  readonly outcomes: string;
  /** its name, of those that come with odis */
  readonly network: string;
  readonly step: number;
  /** whether its recipe is the run's, but for length and seed */
  readonly same: boolean;
  /** the headline's figure, with its 95 % interval: 0..1, an R² at most 1, NaN where nothing can be told */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const schema = z.strictObject({
  /** earlier releases did not say; then it counts as another evaluation's */
  outcomes: z.string().optional(),
  network: z.string(),
  step: z.int().min(0),
  same: z.boolean(),
  value: figure,
  low: figure,
  high: figure,
});

/**
 * Evaluates a network that comes with odis as a run was evaluated, so that people see where longer
 * training leads. Writes `outlook.json` into the run's folder.
 *
 * @param folder an evaluated run
 * @param network the name of one that comes with odis
 * @throws ConfigError when none of that name does, when the run has no evaluation, or one without a figure
 */
export async function evaluateOutlook(
  folder: string,
  network: string,
  { onProgress }: Pick<EvaluateOptions, "onProgress"> = {},
): Promise<Outlook> {
  if (shippedFile(network) === undefined)
    throw new ConfigError(
      `${plain(network)}: no network of that name comes with odis; wanted one of ${shippedNames().join(", ")}.`,
    );
  const done = readEvaluation(folder);
  const headline = done && headlineOf(done.settings, done.train.objects);
  if (!done || !headline)
    throw new ConfigError(
      `${plain(folder)}: has no evaluation with a figure to set another network beside. ` +
        `Evaluate it first: odis evaluate ${shellWord(folder)}`,
    );
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
    if (!found)
      throw new ConfigError(
        `${plain(folder)}: ${measure} of its evaluation could not be measured of ${network}. ` +
          `Evaluate the run by another suite: odis evaluate ${shellWord(folder)} --suite knn`,
      );
    const { value, low, high } = found;
    const own = recipeOf(readRunConfig(folder), folder);
    const same = isDeepStrictEqual(withoutLength(recipe), withoutLength(own));
    const { outcomes } = done;
    const outlook = { outcomes, network, step, same, value, low, high };
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
 * What was found out of longer training beside this evaluation; undefined when nobody asked, or when
 * the run has been evaluated anew since.
 *
 * @throws RunError when the file is damaged
 */
export function readOutlook(
  folder: string,
  evaluation: Pick<RunEvaluation, "outcomes"> | undefined,
): Outlook | undefined {
  const file = outlookFile(folder);
  const text = readOwnText(file);
  if (text === undefined) return undefined;
  try {
    const { outcomes, ...outlook } = schema.parse(JSON.parse(text));
    return outcomes !== undefined && outcomes === evaluation?.outcomes
      ? { outcomes, ...outlook }
      : undefined;
  } catch (error) {
    throw new RunError(`${plain(file)}: damaged; delete it and write the report again.`, {
      cause: error,
    });
  }
}

const outlookFile = (folder: string): string => join(folder, "outlook.json");
