import {
  attributes,
  type Contender,
  type Outcomes,
  type RunEvaluation,
} from "../evaluate/index.js";
import { type InferenceMode, modeRules } from "../features/index.js";
import { medianRate } from "../report/index.js";
import type { MetricsRow } from "../train/index.js";
import { type PerImage, perImage } from "./statistics.js";

/** Ways to ask a trained network for one object (method: inference), the plainest first. */
export const inferences = [
  "none",
  "mask",
  "crop",
  "blackout",
] as const satisfies readonly InferenceMode[];

/** Columns that belong together, with what stands over them. */
export const groups = {
  object: { title: "k-NN top-1 of objects, per cent", short: "k-NN of objects" },
  image: {
    title: "k-NN top-1 of images, by their largest object, per cent",
    short: "k-NN of images",
  },
  linear: { title: "linear probe, top-1 of objects, per cent", short: "linear probe" },
  dense: { title: "segmentation by patches, mIoU, per cent", short: "segmentation" },
  attributes: {
    title: "what features with mask tell of an object beside its class, R² in per cent",
    short: "attributes",
  },
  cost: { title: "cost of pretraining", short: "cost" },
} as const;
export type Group = keyof typeof groups;
export const groupNames = Object.keys(groups) as readonly Group[];

/** One column of the comparison. */
export interface Measure {
  readonly key: string;
  /** over a column */
  readonly title: string;
  readonly group: Group;
  readonly unit: "share" | "images/s" | "bytes";
  /** the name in `evaluation.json` after whose features it is, for k neighbours */
  readonly measurement?: (k: number) => string;
}

/** All columns, in the order of the tables. */
export const measures: readonly Measure[] = [
  ...inferences.map(
    (mode): Measure => ({
      key: mode,
      title: modeRules[mode].name,
      group: "object",
      unit: "share",
      measurement: (k) => `object/${mode}/knn${k}/top1`,
    }),
  ),
  ...(["none", "mask"] as const).map(
    (mode): Measure => ({
      key: `image-${mode}`,
      title: modeRules[mode].name,
      group: "image",
      unit: "share",
      measurement: (k) => `image/${mode}/knn${k}/top1`,
    }),
  ),
  ...(["none", "mask"] as const).map(
    (mode): Measure => ({
      key: `linear-${mode}`,
      title: modeRules[mode].name,
      group: "linear",
      unit: "share",
      measurement: () => `object/${mode}/linear/top1`,
    }),
  ),
  ...(["knn", "linear"] as const).map(
    (judge): Measure => ({
      key: `dense-${judge}`,
      title: judge === "knn" ? "k-NN" : "linear",
      group: "dense",
      unit: "share",
      measurement: () => `dense/${judge}/miou`,
    }),
  ),
  ...attributes.map(
    (name): Measure => ({
      key: name,
      title: name,
      group: "attributes",
      unit: "share",
      measurement: () => `object/mask/attributes/${name}`,
    }),
  ),
  { key: "rate", title: "images/s", group: "cost", unit: "images/s" },
  { key: "memory", title: "memory", group: "cost", unit: "bytes" },
];

export const shares = measures.filter(({ unit }) => unit === "share");

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
