import {
  describeEvaluation,
  type EvaluationSettings,
  type Outcomes,
  type RepresentationName,
  type RunEvaluation,
} from "../evaluate/index.js";
import type { InferenceMode } from "../features/index.js";
import { medianRate } from "../report/index.js";
import type { MetricsRow } from "../train/index.js";
import { type PerImage, perImage } from "./statistics.js";

/** One column of the comparison. */
export interface Column {
  /** unique among all columns */
  readonly key: string;
  /** over a column */
  readonly title: string;
  readonly unit: "share" | "images/s" | "bytes";
  /** the name in `evaluation.json` after that of the representation */
  readonly measure?: string | undefined;
  /** compared with the column of mode `none` in its group */
  readonly mode?: InferenceMode | undefined;
  /** what no figure of the column can be below */
  readonly lowest: number;
}

/** Columns that belong together, with what stands over them. */
export interface ColumnGroup {
  readonly title: string;
  readonly short: string;
  readonly columns: readonly Column[];
}

const cost: ColumnGroup = {
  title: "cost of pretraining",
  short: "cost",
  columns: [
    { key: "rate", title: "images/s", unit: "images/s", lowest: 0 },
    { key: "memory", title: "memory", unit: "bytes", lowest: 0 },
  ],
};

/**
 * All columns, in the order of the tables: what the suites measure, and what training costs.
 *
 * @param settings of the evaluations; undefined before there is one
 */
export function columnGroups(settings: EvaluationSettings | undefined): readonly ColumnGroup[] {
  const described = settings ? describeEvaluation(settings) : [];
  return [
    ...described.flatMap(({ tables, groups = tables }) =>
      groups.map(({ title, short, figures, lowest = 0 }) => ({
        title,
        short,
        columns: figures.map((figure): Column => ({ ...figure, unit: "share", lowest })),
      })),
    ),
    cost,
  ];
}

export function isShare({ unit }: Pick<Column, "unit">): boolean {
  return unit === "share";
}

/** One figure of one run. */
export interface RunScore {
  readonly value: number;
  readonly perImage?: PerImage | undefined;
}

/** The figures of an evaluation by the key of their column. */
export function sharesOf(
  { measurements }: RunEvaluation,
  outcomes: Outcomes,
  by: RepresentationName,
  columns: readonly Column[],
): ReadonlyMap<string, RunScore> {
  const found = new Map(measurements.map(({ name, value }) => [name, value]));
  return new Map(
    columns.flatMap(({ key, measure }) => {
      const name = `${by}/${measure}`;
      const value = found.get(name);
      if (value === undefined) return [];
      const outcome = outcomes.get(name);
      return [[key, { value, perImage: outcome && perImage(outcome) }] as const];
    }),
  );
}

/** First steps of a run, which set up threads and memory. */
const warming = 10;

/** Images a second of the middle step; undefined without steps. */
export function rateOf(rows: readonly MetricsRow[]): number | undefined {
  const settled = rows.slice(rows.length > 2 * warming ? warming : 0);
  return settled.length === 0 ? undefined : medianRate(settled);
}
