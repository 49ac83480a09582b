import { z } from "zod";
import { modeRules } from "../../features/index.js";
import { neighbourExamples } from "../examples.js";
import { type EvaluationOptions, once } from "../options.js";
import { type Level, levels } from "../reading.js";
import {
  type Described,
  type Description,
  type Figure,
  type Finding,
  nameOf,
  type ReadJob,
  suite,
} from "../suite.js";
import { knnShares } from "../votes.js";

/** Neighbours that vote unless asked otherwise; 20 is what published tables report. */
const defaultK: readonly number[] = [20, 5, 10, 100, 200];

const settings = {
  /** numbers of neighbours, the whole bank where it is smaller; tables show the first */
  k: z
    .array(z.int().min(1))
    .min(1, "wanted at least one number of neighbours")
    .default([...defaultK])
    .readonly(),
};
interface KnnSettings {
  readonly k: readonly number[];
}

const options: EvaluationOptions = {
  k: {
    help: "neighbours that vote, in the table",
    type: { kind: "number", whole: true, min: 1 },
    path: "k",
    to: (k) => once([Number(k), ...defaultK]),
    from: (k) => (k as readonly number[])[0],
  },
};

/**
 * Weighted k-NN on one feature an object, and on that of each image's largest object. Without classes
 * nobody votes: the neighbours are shown.
 */
export const knn = suite({
  name: "knn",
  summary: "k-NN",
  unlabelled: true,
  settings,
  options,
  needs: ({ modes }) => ({ modes }),
  measure,
  describe,
});

function* measure(job: ReadJob<KnnSettings>): Iterable<Finding> {
  const {
    bank,
    queries,
    settings: { k, modes, seed },
    device,
    world,
  } = job;
  const classes = job.classes.length;
  for (const { name } of classes > 0 ? job.representations : [])
    for (const level of levels)
      for (const mode of modes) {
        const [from, of] = [bank, queries].map((data) => data.summaries(name, mode, level));
        for (const [measure, outcome] of knnShares(from!, of!, { k, classes, device, world }))
          yield { name: nameOf(name, `${level}/${mode}/${measure}`), outcome };
      }
  const [first] = modes;
  if (job.representations.some(({ name }) => name === "trained")) {
    const [from, of] = [bank, queries].map((data) => data.summaries("trained", first!, "object"));
    yield { examples: neighbourExamples(from!, of!, seed, job) };
  }
}

function describe({ settings: { k, modes }, bank }: Described<KnnSettings>): Description {
  const most = k[0]!;
  const voting = bank !== undefined && most > bank ? `${bank}, the whole bank` : String(most);
  const figure = (level: Level, mode: (typeof modes)[number]): Figure => ({
    key: level === "object" ? mode : `image-${mode}`,
    title: modeRules[mode].name,
    measure: `${level}/${mode}/knn${most}/top1`,
    mode,
  });
  const ways = levels.flatMap((level) =>
    modes.map((mode) => ({
      level,
      mode,
      name: `${level === "image" ? "image, " : ""}${modeRules[mode].name}`,
    })),
  );
  return {
    meaning:
      "k-NN: each test object takes the class that the most similar objects of the bank vote for.",
    tables: [
      {
        title: `k-NN top-1, per cent, k = ${voting}`,
        short: "k-NN",
        classes: true,
        says: `it recognises an object ${modeRules[modes[0]!].shown}, by the vote of the ${voting} most similar known ones`,
        figures: ways.map(({ level, mode, name }) => ({ ...figure(level, mode), title: name })),
      },
    ],
    groups: [
      {
        title: `k-NN top-1 of objects, per cent, k = ${most}`,
        short: "k-NN of objects",
        classes: true,
        figures: modes.map((mode) => figure("object", mode)),
      },
      {
        title: `k-NN top-1 of images, by their largest object, per cent, k = ${most}`,
        short: "k-NN of images",
        classes: true,
        figures: modes.map((mode) => figure("image", mode)),
      },
    ],
    details: [
      {
        title: "Other numbers of neighbours, and top-5",
        caption: "top-1 / top-5, per cent",
        columns: k.map((one) => `k = ${one}`),
        rows: ways.map(({ level, mode, name }) => ({
          title: name,
          cells: k.map((one) => ["top1", "top5"].map((top) => `${level}/${mode}/knn${one}/${top}`)),
        })),
      },
    ],
  };
}
