import type { InferenceMode } from "../features/index.js";
import type { MetricsRow } from "../train/index.js";
import type { ColumnGroup } from "./measures.js";
import type { Plan } from "./plan.js";
import type { SeedSummary } from "./statistics.js";

/** What every run costs alike; those of the first row where one is excused. */
export interface ComputeSummary {
  readonly steps: number | undefined;
  readonly batch: number;
  /** in words */
  readonly views: string;
  readonly network: string;
}

/** One run and what came of it. */
export interface RunResult {
  readonly name: string;
  readonly seed: number;
  readonly folder: string;
  /** as a shell takes them */
  readonly commands: { readonly pretrain: string; readonly evaluate: string };
  readonly status: "finished" | "failed" | "stopped" | "waiting";
  /** why it failed */
  readonly message?: string | undefined;
  /** how it collapsed, if it has */
  readonly collapse?: string | undefined;
  /** steps done */
  readonly steps: number;
  /** seconds of training */
  readonly seconds: number;
  /** by the keys of the columns: shares 0..1, images a second, bytes */
  readonly values: Readonly<Record<string, number>>;
}

export interface RowResult {
  readonly name: string;
  readonly recipe: string;
  readonly note?: string | undefined;
  readonly unequal?: string | undefined;
  /** K of the summaries' head */
  readonly prototypes: number;
  readonly runs: readonly RunResult[];
  /** by the keys of the columns, over the runs that finished */
  readonly cells: Readonly<Record<string, SeedSummary>>;
}

/** Features without training, measured along with the reference row. */
export interface BaselineResult {
  readonly name: string;
  readonly cells: Readonly<Record<string, SeedSummary>>;
}

/** How much better `of` is than `to`, as a share. */
export interface DifferenceResult extends SeedSummary {
  readonly of: string;
  readonly to: string;
  /** key of the column; for two ways of inference of one row that of `of` */
  readonly measure: string;
  /** whether 0 is outside of the interval; undefined without an interval */
  readonly differs?: boolean | undefined;
}

/** A row together with a way of using masks, as the paper's tables have them. */
export interface LineResult {
  readonly name: string;
  readonly row: string;
  readonly inference: InferenceMode;
  readonly summary: SeedSummary | undefined;
  /** to the first line; undefined for itself */
  readonly difference: DifferenceResult | undefined;
}

/** Everything a comparison found: the contents of `compare.json`. Unknown numbers are null there. */
export interface Comparison {
  readonly version: 2;
  readonly plan: Plan;
  readonly compute: ComputeSummary;
  /** all columns, in the order of the tables */
  readonly groups: readonly ColumnGroup[];
  readonly rows: readonly RowResult[];
  readonly baselines: readonly BaselineResult[];
  readonly reference: string;
  /** every row against the reference, in every column of shares */
  readonly differences: readonly DifferenceResult[];
  /** what masks at inference change, row by row */
  readonly inference: readonly DifferenceResult[];
  readonly lines: readonly LineResult[];
}

/** A comparison with the curves of its runs, which are too many numbers for its file. */
export interface ComparisonWithCurves {
  readonly comparison: Comparison;
  readonly curves: ReadonlyMap<string, readonly MetricsRow[]>;
}
