import { z } from "zod";
import { Rng } from "../../core/index.js";
import { type FeatureSet, type InferenceMode, modeRules, pick } from "../../features/index.js";
import { logisticPlaces } from "../logistic.js";
import { nearestRows } from "../neighbours.js";
import type { EvaluationOptions } from "../options.js";
import { imageNames } from "../outcome.js";
import { byFirst } from "../shares.js";
import { type Finding, nameOf, type ReadJob, suite } from "../suite.js";
import { classify } from "../votes.js";

const settings = {
  fewShot: z
    .strictObject({
      /** shares of the bank's objects that are known, of every class alike */
      shares: z.array(z.number().positive().max(1)).min(1).default([0.01, 0.1]).readonly(),
      /** times that they are drawn anew */
      draws: z.int().min(1).default(5),
      /** neighbours that vote, fewer where fewer are known */
      k: z.int().min(1).default(20),
    })
    .readonly()
    .prefault({}),
};
interface OwnSettings {
  readonly fewShot: z.output<typeof settings.fewShot>;
}

const options: EvaluationOptions = {
  shots: {
    help: "shares of the bank whose classes are known to few-shot classifiers, 0 to 1",
    type: { kind: "texts", placeholder: "SHARE" },
    path: "fewShot.shares",
    to: (shares) => [shares].flat().map(Number),
    from: (shares) => (shares as readonly number[]).map(String),
  },
};

const ways = { knn: "k-NN", logistic: "logistic regression" } as const;
type Way = keyof typeof ways;

/** Classes of objects when few of the bank's are known (DINO, appendix: 1 % and 10 % of ImageNet). */
export const fewShot = suite({
  name: "few-shot",
  summary: "classes when few examples are known",
  settings,
  options,
  needs: ({ modes }) => ({ modes }),
  measure,
  describe: ({ settings: { modes, fewShot: own } }) => ({
    meaning: `Few examples: as if the classes of only a share of the bank’s objects were known, at least one of each class, drawn ${own.draws} times; each test object is classified by the nearest known ones, and by logistic regression.`,
    tables: own.shares.map((share) => ({
      title: `with ${shareText(share)} of the bank known, top-1, per cent`,
      short: `${shareText(share)} known`,
      classes: true,
      figures: modes.flatMap((mode) =>
        (Object.keys(ways) as Way[]).map((way) => ({
          key: `few-shot-${share}-${mode}-${way}`,
          title: `${modeRules[mode].name}, ${ways[way]}`,
          measure: measureName(mode, share, way),
        })),
      ),
    })),
  }),
});

const shareText = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;

function measureName(mode: InferenceMode, share: number, way: Way): string {
  return `object/${mode}/few-shot/${share}/${way}/top1`;
}

function* measure(job: ReadJob<OwnSettings>): Iterable<Finding> {
  const { representations, bank, queries, settings: all } = job;
  for (const share of all.fewShot.shares)
    for (const { name } of representations)
      for (const mode of all.modes) {
        const [from, of] = [bank, queries].map((data) => data.summaries(name, mode, "object"));
        const images = imageNames(of!.items);
        const found = byFirst([from!, of!], job, (known, asked, alive) =>
          fewShotShares(known, asked, share, { ...job, alive }),
        );
        for (const [way, values] of found ?? [])
          yield {
            name: nameOf(name, measureName(mode, share, way)),
            outcome: { kind: "mean", values, images },
          };
      }
}

/** @returns for each way the share of draws in which each query was answered rightly */
export function fewShotShares(
  bank: FeatureSet,
  queries: FeatureSet,
  share: number,
  {
    settings: { seed, fewShot: own },
    classes: names,
    device,
    signal,
    alive,
  }: Pick<ReadJob<OwnSettings>, "settings" | "classes" | "device" | "signal"> & {
    readonly alive?: () => void;
  },
): ReadonlyMap<Way, Float64Array> {
  const classes = names.length;
  const n = queries.labels.length;
  const right = { knn: new Float64Array(n), logistic: new Float64Array(n) };
  for (let draw = 0; draw < own.draws; draw += 1) {
    alive?.();
    const known = pick(
      bank,
      drawnShots(bank.labels, share, new Rng("few-shot", seed, share, draw)),
    );
    const found = nearestRows(known, queries, own.k, device);
    const { top1 } = classify(found, known.labels, queries.labels, classes, own.k);
    const places = logisticPlaces(known, queries, { classes, seed, device, signal, alive });
    for (let row = 0; row < n; row += 1) {
      right.knn[row]! += top1[row]! / own.draws;
      right.logistic[row]! += Number(places[row] === 0) / own.draws;
    }
  }
  return new Map(Object.entries(right) as [Way, Float64Array][]);
}

/** Rows of a share of every class, at least one of each, in their order. */
export function drawnShots(labels: Int32Array, share: number, rng: Rng): readonly number[] {
  const byClass = new Map<number, number[]>();
  for (const row of rng.permutation(labels.length)) {
    const label = labels[row]!;
    byClass.set(label, [...(byClass.get(label) ?? []), row]);
  }
  return [...byClass.values()]
    .flatMap((rows) => rows.slice(0, Math.max(1, Math.round(share * rows.length))))
    .toSorted((a, b) => a - b);
}
