import { existsSync } from "node:fs";
import { networkText, readRun, representationTitles, viewsText } from "../report/index.js";
import {
  type EvaluationSettings,
  readRunOutcomes,
  type RepresentationName,
} from "../evaluate/index.js";
import { runLayout } from "../run/index.js";
import { CollapseWatch, type MetricsRow } from "../train/index.js";
import { type Recipe, summaryPrototypes } from "../recipe/index.js";
import { type Column, columnGroups, isShare, rateOf, type RunScore, sharesOf } from "./measures.js";
import { type Plan, referenceOf } from "./plan.js";
import { readRecord, type StageRecord } from "./record.js";
import type {
  ComparisonWithCurves,
  Comparison,
  ComputeSummary,
  DifferenceResult,
  LineResult,
  RowResult,
  RunResult,
} from "./results.js";
import { commandLine, type PlannedRun } from "./runs.js";
import { difference, differs, type SeedScore, type SeedSummary, summarise } from "./statistics.js";

/** What was read of runs whose records have not changed since: resampling them takes a while. */
export type ReadRuns = Map<string, ReadRun>;

/**
 * Reads all that the runs have left so far.
 *
 * @param known of an earlier call; what is read now is put there
 */
export function collect(
  plan: Plan,
  runs: readonly PlannedRun[],
  out: string,
  known: ReadRuns = new Map(),
): ComparisonWithCurves {
  const read = new Map(runs.map((run) => [run.name, readOnce(run, out, known)]));
  const groups = columnGroups([...read.values()].find(({ settings }) => settings)?.settings);
  const columns = groups.flatMap((group) => group.columns);
  const rows = plan.rows.map((row): RowResult & { scores: Scores } => {
    const mine = runs.filter((run) => run.row === row.name).map(({ name }) => read.get(name)!);
    const { name, note, unequal } = row;
    const { prototypes } = runs.find((run) => run.row === name)!.recipe.head;
    const scores = scoresOf(mine, "trained", columns);
    const recipe = row.recipe ?? plan.common.recipe ?? "";
    const runResults = mine.map(({ result }) => result);
    return {
      name,
      recipe,
      note,
      unequal,
      prototypes,
      runs: runResults,
      scores,
      cells: cellsOf(scores, columns),
    };
  });
  const reference = referenceOf(plan);
  const scores = new Map(rows.map((row) => [row.name, row.scores]));
  const measured = runs.filter(({ row }) => row === reference).map(({ name }) => read.get(name)!);
  const comparison: Comparison = {
    version: 2,
    plan,
    compute: computeSummary(runs[0]!.recipe),
    groups,
    rows: rows.map(({ scores: _scores, ...row }) => row),
    baselines: (["untrained", "pixels"] as const).flatMap((by) => {
      const cells = cellsOf(scoresOf(measured, by, columns), columns);
      return Object.keys(cells).length === 0 ? [] : [{ name: representationTitles[by], cells }];
    }),
    reference,
    differences: rows
      .filter((row) => row.name !== reference)
      .flatMap((row) =>
        columns
          .filter(isShare)
          .flatMap(({ key }) => compare(scores, [row.name, key], [reference, key])),
      ),
    inference: rows.flatMap((row) =>
      groups.flatMap((group) => {
        const plain = group.columns.find(({ mode }) => mode === "none");
        const masked = group.columns.filter(({ mode }) => mode !== undefined && mode !== "none");
        return plain
          ? masked.flatMap(({ key }) => compare(scores, [row.name, key], [row.name, plain.key]))
          : [];
      }),
    ),
    lines: linesOf(plan, scores, rows),
  };
  return { comparison, curves: new Map([...read].map(([name, { rows }]) => [name, rows])) };
}

function computeSummary(recipe: Recipe): ComputeSummary {
  const { steps, batch } = recipe.optim;
  return { steps, batch, views: viewsText(recipe), network: networkText(recipe) };
}

/** By the key of a column: the scores of each seed that was measured. */
type Scores = ReadonlyMap<string, readonly SeedScore[]>;

/** One run with all that comparing needs of it. */
interface ReadRun {
  readonly result: RunResult;
  /** by the key of a column */
  readonly scores: Readonly<Record<RepresentationName, ReadonlyMap<string, RunScore>>>;
  readonly rows: readonly MetricsRow[];
  /** of its evaluation */
  readonly settings: EvaluationSettings | undefined;
}

function readOnce(run: PlannedRun, out: string, known: ReadRuns): ReadRun {
  const record = readRecord(out, run.name);
  const key = `${run.name} ${JSON.stringify(record)}`;
  const found = known.get(key) ?? readPlanned(run, record);
  if (found.result.status === "finished") known.set(key, found);
  return found;
}

function readPlanned(run: PlannedRun, record: StageRecord): ReadRun {
  const { pretrain, evaluate } = record;
  const exists = existsSync(runLayout(run.folder).config);
  const { rows, evaluation } = exists ? readRun(run.folder) : { rows: [], evaluation: undefined };
  const measured = evaluate?.status === "finished" ? evaluation : undefined;
  const outcomes = (measured && readRunOutcomes(run.folder)) ?? new Map();
  const columns = columnGroups(measured?.settings).flatMap((group) => group.columns);
  const shares = (by: RepresentationName): ReadonlyMap<string, RunScore> =>
    measured ? sharesOf(measured, outcomes, by, columns) : new Map();
  const rate = rateOf(rows);
  const trained = new Map([
    ...shares("trained"),
    ...(rate === undefined ? [] : [["rate", { value: rate }] as const]),
    ...(pretrain?.peakBytes === undefined
      ? []
      : [["memory", { value: pretrain.peakBytes }] as const]),
  ]);
  const last = evaluate ?? pretrain;
  const done = measured !== undefined && pretrain?.status === "finished";
  const failed = [pretrain, evaluate].find((stage) => stage?.status === "failed");
  const status = done ? "finished" : failed ? "failed" : last ? "stopped" : "waiting";
  const result: RunResult = {
    name: run.name,
    seed: run.seed,
    folder: run.folder,
    commands: { pretrain: commandLine(run.pretrain), evaluate: commandLine(run.evaluate) },
    status,
    message: failed?.message,
    collapse: collapseOf(rows, run.recipe),
    steps: (rows.at(-1)?.step ?? -1) + 1,
    seconds: rows.at(-1)?.time ?? 0,
    values: Object.fromEntries([...trained].map(([key, { value }]) => [key, value])),
  };
  const scores = { trained, untrained: shares("untrained"), pixels: shares("pixels") };
  return { result, scores, rows, settings: measured?.settings };
}

/** Of the runs that finished: what a failed one left half-way is no figure of its row. */
function scoresOf(
  runs: readonly ReadRun[],
  by: RepresentationName,
  columns: readonly Column[],
): Scores {
  const finished = runs.filter(({ result }) => result.status === "finished");
  const column = ({ key }: Column): readonly [string, readonly SeedScore[]] => [
    key,
    finished.flatMap(({ result: { seed }, scores }) => {
      const score = scores[by].get(key);
      return score ? [{ seed, ...score }] : [];
    }),
  ];
  return new Map(columns.map(column).filter(([, seeds]) => seeds.length > 0));
}

function cellsOf(
  scores: Scores,
  columns: readonly Column[],
): Readonly<Record<string, SeedSummary>> {
  return Object.fromEntries(
    columns.flatMap((column) => {
      const seeds = scores.get(column.key);
      return seeds ? [[column.key, within(column, summarise(seeds))]] : [];
    }),
  );
}

/** What a figure can be, whatever Student's t says of it. */
function within(column: Column, found: SeedSummary): SeedSummary {
  if (!isShare(column)) return found;
  return { ...found, low: Math.max(column.lowest, found.low), high: Math.min(1, found.high) };
}

type Cell = readonly [row: string, key: string];

function compare(
  scores: ReadonlyMap<string, Scores>,
  [of, key]: Cell,
  [to, other]: Cell,
): readonly DifferenceResult[] {
  const [left, right] = [scores.get(of)?.get(key), scores.get(to)?.get(other)];
  if (!left || !right) return [];
  const found = difference(left, right);
  return found.seeds === 0 ? [] : [{ of, to, measure: key, ...found, differs: differs(found) }];
}

function linesOf(
  plan: Plan,
  scores: ReadonlyMap<string, Scores>,
  rows: readonly RowResult[],
): readonly LineResult[] {
  const [first] = plan.lines;
  return plan.lines.map(({ name, row, inference }) => ({
    name,
    row,
    inference,
    summary: rows.find((other) => other.name === row)?.cells[inference],
    difference:
      name === first!.name
        ? undefined
        : compare(scores, [row, inference], [first!.row, first!.inference])[0],
  }));
}

/**
 * How a run has collapsed by its end, in the words of its log; undefined when it has not, or has
 * recovered.
 *
 * @param rows of the whole run so far
 */
export function collapseOf(rows: readonly MetricsRow[], recipe: Recipe): string | undefined {
  const watch = new CollapseWatch(summaryPrototypes(recipe), recipe.optim.steps ?? rows.length);
  for (const row of rows) watch.observe(row);
  return watch.collapse;
}
