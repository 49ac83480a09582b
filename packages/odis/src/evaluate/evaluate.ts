import { Generator } from "@odis/torch";
import type { DataSource } from "../data/sample.js";
import { DataError } from "../errors.js";
import type { Network } from "../model/network.js";
import { buildNetwork } from "../train/state.js";
import { type Example, neighbourExamples } from "./examples.js";
import { type FeatureSet, largestPerImage, NetworkFeatures, pick } from "./features.js";
import { type Extractor, gather, type Gathered, type Omissions } from "./gather.js";
import { estimate, type Estimate } from "./interval.js";
import { knnShares } from "./knn-suite.js";
import type { InferenceMode } from "./modes.js";
import { type EvaluateOptions, type Part, type Settings, settingsOf } from "./options.js";
import type { Outcome } from "./outcome.js";
import type { Outcomes } from "./outcomes-file.js";
import { deviceOf } from "./passes.js";
import { PixelExtractor } from "./pixels.js";

/** One figure with its name, e.g. `trained/object/mask/knn20/top1`; 0..1 with a 95 % interval. */
export interface Measurement extends Estimate {
  readonly name: string;
}

/** What is compared. */
export const contenders = ["pixels", "untrained", "trained"] as const;
export type Contender = (typeof contenders)[number];

/** `object`: every labelled object is an item. `image`: only each image's largest one is. */
export const levels = ["object", "image"] as const;
export type Level = (typeof levels)[number];

/** All that was measured; plain JSON, the contents of `evaluation.json`. */
export interface Evaluation {
  readonly classes: readonly string[];
  readonly settings: Settings;
  readonly train: PartSummary;
  readonly test: PartSummary;
  readonly measurements: readonly Measurement[];
  /** share of test objects that are of the bank's most frequent class: what no features reach */
  readonly majority: number;
  /** nearest neighbours of some test objects by the trained teacher in the first mode */
  readonly examples: readonly Example[];
}

export interface PartSummary {
  readonly images: number;
  readonly objects: number;
  readonly omitted: Omissions;
}

/**
 * Frozen features of objects and images, judged: weighted k-NN (facts: the published protocol of
 * DINO and iBOT) of raw pixels, of the untrained network of the same recipe and seed, and of the
 * trained teacher.
 *
 * @returns the figures, and for each of them what became of every test item
 * @throws DataError when a source has no labelled object to work with
 * @throws ConfigError when the options do not fit the network or leave nothing to measure
 */
export async function evaluate(
  options: EvaluateOptions,
): Promise<{ readonly evaluation: Evaluation; readonly outcomes: Outcomes }> {
  const { recipe, trained } = options;
  const settings = settingsOf(options);
  const classes = sharedClasses(options.train, options.test);
  const device = trained ? deviceOf(trained) : "cpu";
  const untrained = settings.baselines
    ? buildNetwork(recipe, "teacher")
        .init(new Generator(recipe.seed))
        .requiresGrad_(false)
        .to(device)
    : undefined;
  try {
    const subjects = subjectsOf(settings, untrained, trained);
    const bank = await readPart("train", options, settings, subjects);
    const queries = await readPart("test", options, settings, subjects);
    const outcomes = new Map<string, Outcome>();
    for (const { name: contender } of subjects)
      for (const level of levels)
        for (const mode of settings.modes) {
          const [from, of] = [bank, queries].map((part) => part.set(contender, mode, level));
          const shares = knnShares(from!, of!, { k: settings.k, classes: classes.length, device });
          for (const [name, outcome] of shares)
            outcomes.set(`${contender}/${level}/${mode}/${name}`, outcome);
        }
    const evaluation = {
      classes,
      settings,
      train: summary(bank),
      test: summary(queries),
      measurements: [...outcomes].map(([name, outcome]) => ({
        name,
        ...estimate(outcome, settings.seed),
      })),
      majority: majority(bank.labels, queries.labels, classes.length),
      examples: trained ? examples(bank, queries, settings) : [],
    };
    return { evaluation, outcomes };
  } finally {
    untrained?.free();
  }
}

/** A contender, and how it comes to features in an inference mode. */
interface Subject {
  readonly name: Contender;
  readonly extractor: (mode: InferenceMode) => Extractor;
}

function subjectsOf(
  { baselines, size, feature: kind }: Settings,
  untrained?: Network,
  trained?: Network,
): Subject[] {
  const ofNetwork = (name: Contender, network?: Network): Subject[] =>
    network
      ? [{ name, extractor: (mode) => new NetworkFeatures(network, { mode, size, kind }) }]
      : [];
  const pixels: Subject = { name: "pixels", extractor: (mode) => new PixelExtractor(mode) };
  return [
    ...(baselines ? [pixels] : []),
    ...ofNetwork("untrained", untrained),
    ...ofNetwork("trained", trained),
  ];
}

/** One of the two data sets, read once. */
interface PartFeatures extends Gathered {
  readonly set: (contender: Contender, mode: InferenceMode, level: Level) => FeatureSet;
}

async function readPart(
  part: Part,
  options: EvaluateOptions,
  { modes, size, frame, minArea }: Settings,
  subjects: readonly Subject[],
): Promise<PartFeatures> {
  const extractors = new Map(
    subjects.flatMap(({ name, extractor }) =>
      modes.map((mode) => [`${name}/${mode}`, extractor(mode)] as const),
    ),
  );
  const gathered = await gather(
    options[part],
    {
      size,
      frame,
      minArea,
      patch: options.recipe.model.patch,
      limit: options.limit,
      signal: options.signal,
      onProgress: (done, of) => options.onProgress?.(part, done, of),
    },
    [...extractors.values()],
  );
  const { items, labels } = gathered;
  if (items.length === 0) throw nothingToJudge(part, gathered);
  const largest = largestPerImage(items);
  return {
    ...gathered,
    set(contender, mode, level) {
      const all = { ...extractors.get(`${contender}/${mode}`)!.rows(), items, labels };
      return level === "image" ? pick(all, largest) : all;
    },
  };
}

function examples(bank: PartFeatures, queries: PartFeatures, { modes, seed }: Settings): Example[] {
  const [from, of] = [bank, queries].map((part) => part.set("trained", modes[0]!, "object"));
  return neighbourExamples(from!, of!, seed);
}

function majority(bank: Int32Array, queries: Int32Array, classes: number): number {
  const counts = new Int32Array(classes);
  for (const label of bank) counts[label]! += 1;
  const most = counts.reduce((best, n, label) => (n > counts[best]! ? label : best), 0);
  return queries.filter((label) => label === most).length / queries.length;
}

function summary({ images, items, omitted }: Gathered): PartSummary {
  return { images, objects: items.length, omitted };
}

/** Labels are indices, so both sources must mean the same by them. */
function sharedClasses(train: DataSource, test: DataSource): readonly string[] {
  const differs = train.classes.findIndex((name, index) => name !== test.classes[index]);
  if (differs >= 0 || train.classes.length !== test.classes.length) {
    const at = differs >= 0 ? differs : train.classes.length;
    throw new DataError(
      `evaluation: the classes of train and test data differ: class ${at} is ` +
        `${JSON.stringify(train.classes[at] ?? "missing")} in train and ` +
        `${JSON.stringify(test.classes[at] ?? "missing")} in test. Wanted the same list in the same order; ` +
        `give both annotation files the same categories.`,
    );
  }
  return train.classes;
}

function nothingToJudge(part: string, { images, omitted }: Gathered): DataError {
  const { skipped, lost, unlabelled, small } = omitted;
  return new DataError(
    `evaluation: the ${part} data has no object to work with: ${images} images read, ` +
      `${skipped.length} unreadable, ${unlabelled} objects without a class, ${small} too small, ` +
      `${lost} outside the frame. Wanted at least one labelled object; check the annotations, ` +
      `or lower the least area.`,
  );
}
