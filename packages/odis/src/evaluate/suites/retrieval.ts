import { z } from "zod";
import { DataError, plain } from "../../core/index.js";
import { type FeatureSet, type InferenceMode, modeRules } from "../../features/index.js";
import {
  difficulties,
  type Difficulty,
  type Landmarks,
  landmarksName,
  type LandmarkTruth,
  openLandmarks,
} from "../landmarks.js";
import { similarityBlocks } from "../neighbours.js";
import type { EvaluationOptions } from "../options.js";
import { imageNames, type Measured, type MeanOutcome } from "../outcome.js";
import { averagePrecision, descending, landmarkScore, placeOfFirst } from "../ranking.js";
import type { ReadData } from "../reading.js";
import { checkSameSet } from "../same.js";
import { byFirst, type SharedSet } from "../shares.js";
import {
  type Figure,
  type FigureTable,
  type Finding,
  type Job,
  nameOf,
  type ReadJob,
  suite,
} from "../suite.js";

const settings = {
  retrieval: z
    .strictObject({
      /** neighbours among which a likeness is looked for */
      at: z.array(z.int().min(1)).min(1).default([1, 5, 10]).readonly(),
      /** collections of landmarks, `IMAGES,GROUND_TRUTH` each */
      landmarks: z.array(z.string().min(1)).default([]).readonly(),
      /** sizes of the pictures of landmarks beside `size`, whose unit features are averaged */
      scales: z.array(z.number().positive().max(4)).min(1).default([1]).readonly(),
    })
    .readonly()
    .prefault({}),
};
interface OwnSettings {
  readonly retrieval: z.output<typeof settings.retrieval>;
}

/** Published: 1, 1/√2 and 1/2 of the size (DINO `eval_image_retrieval.py --multiscale`). */
const three = [1, Math.SQRT1_2, 0.5];

const options: EvaluationOptions = {
  landmarks: {
    help: "pictures of landmarks with the ground truth of revisited Oxford or Paris, .json or .pkl; several may be given",
    type: { kind: "texts", placeholder: "IMAGES,GROUND_TRUTH" },
    path: "retrieval.landmarks",
  },
  landmarkScales: {
    help: "sizes in which pictures of landmarks are seen: one, or three of which the mean is taken",
    type: { kind: "choice", of: ["one", "three"] },
    path: "retrieval.scales",
    to: (value) => (value === "three" ? three : [1]),
    from: (scales) => ((scales as readonly number[]).length > 1 ? "three" : "one"),
  },
};

/** Finding objects of the same class in the bank, and pictures of the same landmark in a collection. */
export const retrieval = suite({
  name: "retrieval",
  summary: "finding the same again",
  settings,
  options,
  needs: ({ modes }) => ({ modes }),
  watch: openCollections,
  measure,
  describe: ({ settings: { modes, retrieval: own } }) => ({
    meaning:
      "Retrieval: each test object asks for objects of its class in the bank, which are ranked by their likeness; mAP is the mean over objects of the average precision, recall@k how often one of the first k is of the class. Landmarks: pictures of the same building among pictures of a city, by the revisited Oxford and Paris protocol (medium: easy and hard ones count; hard: hard ones alone), squeezed to squares where published figures keep their proportions.",
    tables: [
      {
        title: "object retrieval, mAP, per cent",
        short: "object retrieval",
        figures: modes.map((mode) => objectFigure(mode, "map", modeRules[mode].name)),
      },
      ...own.landmarks.map((text) => landmarkTable(landmarksName(text), modes)),
    ],
    details: [
      {
        title: "Object retrieval: recall among the first",
        caption: "recall, per cent",
        columns: own.at.map((k) => `first ${k}`),
        rows: modes.map((mode) => ({
          title: modeRules[mode].name,
          cells: own.at.map((k) => [objectFigure(mode, `recall${k}`, "").measure]),
        })),
      },
      ...own.landmarks.map((text) => ({
        title: `Landmarks ${landmarksName(text)}: precision among the first`,
        caption: "mean precision, per cent, medium / hard",
        columns: own.at.map((k) => `first ${k}`),
        rows: modes.map((mode) => ({
          title: modeRules[mode].name,
          cells: own.at.map((k) =>
            (["medium", "hard"] as const).map((difficulty) =>
              landmarkMeasure(landmarksName(text), mode, difficulty, `precision${k}`),
            ),
          ),
        })),
      })),
    ],
  }),
});

function objectFigure(mode: InferenceMode, measure: string, title: string): Figure {
  const name = `object/${mode}/retrieval/${measure}`;
  return { key: `retrieval-${mode}-${measure}`, title, measure: name, mode };
}

function landmarkMeasure(
  name: string,
  mode: InferenceMode,
  difficulty: Difficulty,
  measure: string,
): string {
  return `landmarks/${name}/${mode}/${difficulty}/${measure}`;
}

function landmarkTable(name: string, modes: readonly InferenceMode[]): FigureTable {
  const all = (Object.keys(difficulties) as Difficulty[]).flatMap((difficulty) =>
    modes.map((mode) => ({
      key: `landmarks-${name}-${difficulty}-${mode}`,
      title: `${difficulty}, ${modeRules[mode].name}`,
      measure: landmarkMeasure(name, mode, difficulty, "map"),
    })),
  );
  return { title: `landmarks ${name}, mAP, per cent`, short: `landmarks ${name}`, figures: all };
}

/** Collections are opened before anything is read: a wrong name must not cost an hour. */
async function openCollections({ settings: { retrieval: own }, world }: Job<OwnSettings>) {
  const landmarks: Landmarks[] = [];
  for (const text of own.landmarks) {
    const one = await world.together(openLandmarks(text));
    checkSameSet(world, one.name, { pictures: one.gallery, queries: one.queries });
    landmarks.push(one);
  }
  return { landmarks };
}

async function* measure(
  job: ReadJob<OwnSettings>,
  { landmarks }: { readonly landmarks: readonly Landmarks[] },
): AsyncIterable<Finding> {
  const { representations, bank, queries, device } = job;
  const { modes, retrieval: own } = job.settings;
  for (const { name } of representations)
    for (const mode of modes) {
      const [from, of] = [bank, queries].map((data) => data.summaries(name, mode, "object"));
      const found = byFirst([from!, of!], job, (known, asked, alive) =>
        objectRetrieval(known, asked, own.at, device, alive),
      );
      for (const [measure, outcome] of found ?? [])
        yield { name: nameOf(name, `object/${mode}/${measure}`), outcome };
    }
  for (const collection of landmarks) yield* landmarksOf(job, collection);
}

/**
 * How well objects of the same class are found in a bank. Queries whose class the bank does not have
 * do not count.
 *
 * @param alive is called for every query
 * @returns `retrieval/map`, `retrieval/recallK`
 */
export function objectRetrieval(
  bank: FeatureSet,
  queries: FeatureSet,
  at: readonly number[],
  device: string,
  alive?: () => void,
): readonly Measured[] {
  const known = new Set(bank.labels);
  const counted = [...queries.labels.keys()].filter((row) => known.has(queries.labels[row]!));
  const names = imageNames(queries.items);
  const images = counted.map((row) => names[row]!);
  const precisions = new Float64Array(counted.length);
  const places = new Int32Array(counted.length);
  const relevant = new Map(
    [...known].map((label) => [
      label,
      Uint8Array.from(bank.labels, (one) => Number(one === label)),
    ]),
  );
  const m = bank.labels.length;
  let to = 0;
  for (const { begin, scores } of similarityBlocks(bank, queries, device))
    for (let row = 0; row * m < scores.length; row += 1) {
      alive?.();
      const wanted = relevant.get(queries.labels[begin + row]!);
      if (!wanted) continue;
      const mine = scores.subarray(row * m, (row + 1) * m);
      precisions[to] = averagePrecision(mine, wanted);
      places[to] = placeOfFirst(mine, wanted);
      to += 1;
    }
  return [
    ["retrieval/map", { kind: "mean", values: precisions, images }],
    ...at.map(
      (k): Measured => [
        `retrieval/recall${k}`,
        { kind: "share", hits: Uint8Array.from(places, (place) => Number(place < k)), images },
      ],
    ),
  ];
}

/** One collection, each of its pictures seen in every size. */
async function* landmarksOf(
  job: ReadJob<OwnSettings>,
  { name, truth, gallery, queries }: Landmarks,
): AsyncIterable<Finding> {
  const { read, representations, settings: all, patch, world } = job;
  const { modes, retrieval: own } = all;
  const seen: { readonly gallery: ReadData; readonly queries: ReadData }[] = [];
  for (const scale of own.scales) {
    const size = Math.max(1, Math.round((all.size * scale) / patch)) * patch;
    const pictures = await read(`${name} at ${size} px`, gallery, { modes: ["none"], size });
    const asked = await read(`queries of ${name} at ${size} px`, queries, { modes, size });
    world.agree(() => {
      checkWhole(name, gallery.size, pictures);
      checkWhole(name, queries.size, asked);
    });
    seen.push({ gallery: pictures, queries: asked });
  }
  for (const { name: by } of representations) {
    const bank = averaged(seen.map((one) => one.gallery.summaries(by, "none", "object")));
    for (const mode of modes) {
      const asked = averaged(seen.map((one) => one.queries.summaries(by, mode, "object")));
      const orders = byFirst([bank, asked], job, (all, some, alive) =>
        ordersOf(all, some, { ...job, alive }),
      );
      for (const [measure, outcome] of orders ? landmarkOutcomes(truth, orders, own.at) : [])
        yield { name: nameOf(by, `landmarks/${name}/${mode}/${measure}`), outcome };
    }
  }
}

/** [queries][pictures] best first */
function ordersOf(
  bank: FeatureSet,
  asked: FeatureSet,
  { device, alive }: Pick<ReadJob<OwnSettings>, "device"> & { readonly alive: () => void },
): readonly ArrayLike<number>[] {
  const m = bank.labels.length;
  return [...similarityBlocks(bank, asked, device)].flatMap(({ scores }) =>
    Array.from({ length: scores.length / m }, (_, row) => {
      alive();
      return descending(scores.subarray(row * m, (row + 1) * m));
    }),
  );
}

/** A ranking without some of the pictures would be another protocol. */
function checkWhole(name: string, wanted: number, { items, omitted }: ReadData): void {
  if (items.length === wanted) return;
  const [first] = omitted.skipped;
  throw new DataError(
    `landmarks ${plain(name)}: ${wanted - items.length} of ${wanted} pictures cannot be used` +
      (first ? `, the first of them ${plain(first.key)}: ${plain(first.reason)}` : ""),
  );
}

/** The mean of unit features, row by row. */
function averaged(sets: readonly SharedSet[]): SharedSet {
  const [first] = sets;
  if (sets.length === 1) return first!;
  const { width } = first!.own;
  const features = new Float32Array(first!.own.features.length);
  for (const { own: set } of sets)
    for (let begin = 0; begin < features.length; begin += width) {
      const length = Math.hypot(...set.features.subarray(begin, begin + width)) || 1;
      for (let at = begin; at < begin + width; at += 1) features[at]! += set.features[at]! / length;
    }
  return { ...first!, own: { ...first!.own, features } };
}

/**
 * The figures of one collection; queries that have nothing to find do not count.
 *
 * @param orders [queries][pictures] best first
 * @returns `medium/map`, `medium/precisionK`, the same for `hard`
 */
export function landmarkOutcomes(
  { qimlist, gnd }: Pick<LandmarkTruth, "qimlist" | "gnd">,
  orders: readonly ArrayLike<number>[],
  at: readonly number[],
): readonly Measured[] {
  return Object.entries(difficulties).flatMap(([difficulty, { positive, junk }]) => {
    const scored = gnd.flatMap((answer, query) => {
      const some = (kinds: readonly (keyof typeof answer)[]): ReadonlySet<number> =>
        new Set(kinds.flatMap((kind) => answer[kind]));
      const score = landmarkScore(orders[query]!, some(positive), some(junk), at);
      return score ? [{ image: qimlist[query]!, ...score }] : [];
    });
    const images = scored.map(({ image }) => image);
    const mean = (values: readonly number[]): MeanOutcome => ({
      kind: "mean",
      values: Float64Array.from(values),
      images,
    });
    return [
      [`${difficulty}/map`, mean(scored.map(({ averagePrecision: one }) => one))] as const,
      ...at.map(
        (k, i) =>
          [
            `${difficulty}/precision${k}`,
            mean(scored.map(({ precisions }) => precisions[i]!)),
          ] as const,
      ),
    ];
  });
}
