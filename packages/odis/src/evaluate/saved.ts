import { z } from "zod";
import { show } from "../core/index.js";
import type { DataSpec } from "../data/index.js";
import type { Evaluation } from "./evaluate.js";
import { savedSettings } from "./settings.js";
import type { EvaluationData } from "./splits.js";

/** An evaluation with what it was made from: the contents of `evaluation.json`. */
export interface RunEvaluation extends Evaluation {
  readonly version: 2;
  /** steps that the teacher had been trained for */
  readonly step: number;
  readonly data: EvaluationData;
  /** of `openSplits` */
  readonly moved: readonly number[];
  /** SHA-256 of the `outcomes.json` that belongs to it, hex */
  readonly outcomes: string;
}

const count = z.int().min(0);
const text = z.string();
/** JSON has no NaN: it says null where nothing could be measured. */
export const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const estimate = { value: figure, low: figure, high: figure, n: count };

const repetitions = z.array(z.object({ key: text, as: text })).default([]);
const split = z.object({
  images: count,
  objects: count,
  repeated: repetitions,
  omitted: z.object({
    skipped: z.array(z.object({ key: text, reason: text })),
    shared: repetitions,
    lost: count,
    unlabelled: count,
    small: count,
  }),
});

/** -1 where the data names no classes */
const label = z.int().min(-1);
const item = { key: text, image: count, object: count, area: count, label };
/** An image is its own picture in what was saved before pictures were compared. */
const labelled = <Item extends { readonly image: number; readonly picture?: number | undefined }>(
  found: Item,
): Item & { picture: number } => ({ ...found, picture: found.picture ?? found.image });
const picture = count.optional();
const example = z.object({
  query: z.object({ ...item, picture }).transform(labelled),
  neighbours: z.array(z.object({ ...item, picture, similarity: figure }).transform(labelled)),
});

const dataSpec = z.custom<DataSpec>(
  (value) => z.looseObject({ kind: text }).safeParse(value).success,
  "wanted a data set",
);

/** Fields that an earlier release did not know have what it did without saying. */
const schema = z.object({
  version: z.literal(2),
  step: count,
  data: z.object({ train: dataSpec, test: dataSpec.optional() }),
  moved: z.array(count).default([]),
  outcomes: text,
  classes: z.array(text),
  settings: savedSettings,
  train: split,
  test: split,
  measurements: z.array(z.object({ name: text, ...estimate, images: count.optional() })),
  majority: figure,
  unknownClasses: z.array(text).default([]),
  others: z
    .array(z.object({ name: text, train: split, test: split, unknownClasses: z.array(text) }))
    .default([]),
  differences: z
    .array(
      z.object({
        to: z.enum(["pixels", "untrained"]),
        value: figure,
        low: figure,
        high: figure,
        images: count,
      }),
    )
    .default([]),
  probes: z.array(
    z.object({
      name: text,
      blocks: count,
      average: z.boolean(),
      learningRate: figure,
      validation: figure,
    }),
  ),
  examples: z.array(example),
});

/**
 * The contents of an `evaluation.json` of this or an earlier release.
 *
 * @returns what is wrong with it, a few words, when it is none
 */
export function savedEvaluation(value: unknown): RunEvaluation | string {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `${issue!.path.map(String).join(".") || "the file"}: ${show(issue!.message)}`;
}
