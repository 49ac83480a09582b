import type { Contender } from "../evaluate/subjects.js";
import type { Outcomes } from "../evaluate/outcomes-file.js";
import { medianRate } from "../evaluate/report/record.js";
import type { RunEvaluation } from "../evaluate/run.js";
import type { MetricsRow } from "../train/loop.js";
import { measures } from "./measures.js";
import { type PerImage, perImage } from "./statistics.js";

/** One figure of one run. */
export interface RunScore {
  readonly value: number;
  readonly perImage?: PerImage | undefined;
}

/**
 * The figures of an evaluation by the key of their column.
 *
 * @param contender whose features
 */
export function sharesOf(
  { measurements, settings }: RunEvaluation,
  outcomes: Outcomes,
  contender: Contender,
): ReadonlyMap<string, RunScore> {
  const found = new Map(measurements.map(({ name, value }) => [name, value]));
  return new Map(
    measures.flatMap(({ key, measurement }) => {
      const name = measurement && `${contender}/${measurement(settings.k[0] ?? 0)}`;
      const value = name === undefined ? undefined : found.get(name);
      if (name === undefined || value === undefined) return [];
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
