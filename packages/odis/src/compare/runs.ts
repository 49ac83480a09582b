import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, RunError, settingPaths, settingsLayer, shellWord } from "../core/index.js";
import { type DataSpec, parseDataSpec } from "../data/index.js";
import { optionWords } from "../evaluate/index.js";
import {
  configDifferences,
  describeDifferences,
  differences,
  readRunConfig,
  runLayout,
} from "../run/index.js";
import { type Recipe, recipeLayers, resolveRecipe } from "../recipe/index.js";
import { type Plan, referenceOf } from "./plan.js";

/** One training with its evaluation: a row of the plan with one seed. */
export interface PlannedRun {
  readonly row: string;
  readonly seed: number;
  /** `ROW-sSEED` */
  readonly name: string;
  readonly folder: string;
  readonly recipe: Recipe;
  /** what it trains on */
  readonly data: DataSpec;
  /** words after `odis`, of the training and of the evaluation */
  readonly pretrain: readonly string[];
  readonly evaluate: readonly string[];
}

/** Options that are the machine's, not the plan's. */
export interface Machine {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
}

type Row = Plan["rows"][number];

/**
 * Every run of a plan, the first seed of all rows before the second of any: an interrupted
 * comparison is a smaller comparison. All of it is checked here, before anything runs.
 *
 * @throws ConfigError when data or a recipe is missing, a recipe cannot be, or rows cost differently
 * @throws RunError when a run folder holds something else already
 */
export function planRuns(plan: Plan, out: string, machine: Machine = {}): readonly PlannedRun[] {
  const { train, test } = plan.data;
  if (train === undefined || test === undefined)
    throw new ConfigError(
      `plan ${plan.name}: it names no ${train === undefined ? "training" : "test"} data. ` +
        `Give it with --${train === undefined ? "train" : "test"} KIND:PLACE.`,
    );
  const rounds = plan.rows.flatMap((row) =>
    (row.seeds ?? plan.seeds).map((seed, round) => ({
      round,
      run: planRun({ plan, row, seed, data: { train, test }, out, machine }),
    })),
  );
  const runs = rounds.toSorted((a, b) => a.round - b.round).map(({ run }) => run);
  checkEqualCompute(plan, runs);
  for (const run of runs) checkFolder(run);
  return runs;
}

/** A command as a reader can paste it into a shell. */
export function commandLine(words: readonly string[]): string {
  return ["odis", ...words].map(shellWord).join(" ");
}

interface RunParts {
  readonly plan: Plan;
  readonly row: Row;
  readonly seed: number;
  readonly data: { readonly train: string; readonly test: string };
  readonly out: string;
  readonly machine: Machine;
}

function planRun({ plan, row, seed, data, out, machine }: RunParts): PlannedRun {
  const { model, steps, batch } = plan.common;
  const name = `${row.name}-s${seed}`;
  const folder = join(out, "runs", name);
  const from = row.recipe ?? plan.common.recipe;
  if (from === undefined)
    throw new ConfigError(
      `plan ${plan.name}: row ${row.name} has no recipe. Give the row one, or all of them with common.recipe.`,
    );
  const sets = settingTexts({ ...plan.common.set, ...row.set });
  // The layers of `odis pretrain` for the very words below, so that nothing is found wrong later.
  const recipe = sourceNamed(plan, row, () =>
    resolveRecipe([
      ...recipeLayers(from, model),
      { source: "common", values: { seed, optim: { ...optional({ batch, steps }) } } },
      { ...settingsLayer(sets), source: "set" },
    ]),
  );
  const { device, threads } = machine;
  const engine = optionWords({ device, threads });
  const { masks } = row;
  const own = parseDataSpec(data.train);
  const isReference = row.name === referenceOf(plan);
  return {
    row: row.name,
    seed,
    name,
    folder,
    recipe,
    data: masks === undefined ? own : { ...own, masks },
    pretrain: [
      "pretrain",
      ...optionWords({ data: data.train, masks, out: folder, recipe: from, model, batch, steps }),
      ...optionWords({ seed }),
      ...engine,
      ...sets.flatMap((set) => ["--set", set]),
    ],
    evaluate: [
      "evaluate",
      folder,
      // Untrained features once are enough, and raw pixels are the same for every row.
      ...optionWords({ ...data, ...plan.evaluate, baselines: isReference ? "yes" : "no" }),
      ...engine,
    ],
  };
}

/** Problems of a recipe, each with the row that has it. */
function sourceNamed<T>(plan: Plan, row: Row, resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = error.message.split("\n");
    throw new ConfigError(
      lines.map((line) => `plan ${plan.name}: row ${row.name}: ${line}`).join("\n"),
      undefined,
      { cause: error },
    );
  }
}

/** `path=value` for the command line; a text that would be read as something else is quoted. */
function settingTexts(set: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(set).map(([path, value]) => {
    const bare = `${path}=${String(value)}`;
    const isRead = typeof value === "string" && settingPaths([bare])[path] === value;
    return isRead ? bare : `${path}=${JSON.stringify(value)}`;
  });
}

function optional(values: Readonly<Record<string, number | undefined>>) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** What decides the work of a step and how many there are. */
function computeOf({ optim, views, model }: Recipe) {
  const { globals, locals } = views;
  return {
    optim: {
      batch: optim.batch,
      ...(optim.steps === undefined ? { epochs: optim.epochs } : { steps: optim.steps }),
    },
    views: {
      globals: { count: globals.count, size: globals.size },
      locals: locals.count === 0 ? { count: 0 } : { count: locals.count, size: locals.size },
    },
    model: { dim: model.dim, depth: model.depth, patch: model.patch },
  };
}

function checkEqualCompute(plan: Plan, runs: readonly PlannedRun[]): void {
  const excused = new Set(plan.rows.filter((row) => row.unequal !== undefined).map((r) => r.name));
  const equal = runs.filter(({ row }) => !excused.has(row));
  const [first] = equal;
  if (!first) return;
  const problems = equal.flatMap((run) => {
    const found = differences(computeOf(first.recipe), computeOf(run.recipe));
    return found.map(
      ({ path, left, right }) =>
        `plan ${plan.name}: row ${run.row}: ${path} is ${JSON.stringify(right ?? "unset")}, and ` +
        `${JSON.stringify(left ?? "unset")} in row ${first.row}; wanted the same steps, batch, views and network in every ` +
        `row. Make them equal, or say in the row why they may differ: "unequal": "…".`,
    );
  });
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join("\n"));
}

/** A folder of an earlier comparison with other settings is found before hours were spent. */
function checkFolder({ folder, recipe, name, data }: PlannedRun): void {
  if (!existsSync(runLayout(folder).config)) return;
  const found = configDifferences(readRunConfig(folder), { recipe, data });
  if (found.length > 0)
    throw new RunError(
      `run ${name}: ${folder} holds a run with another config: ${describeDifferences(found)}. ` +
        `Choose another --out, or give the same settings to go on with that comparison.`,
    );
}
