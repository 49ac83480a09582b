import { Generator } from "@odis/torch";
import type { DataSource } from "../data/sample.js";
import { ConfigError, DataError } from "../errors.js";
import type { Network } from "../model/network.js";
import type { Recipe } from "../train/recipe.js";
import { buildNetwork } from "../train/state.js";
import { type Example, neighbourExamples } from "./examples.js";
import { deviceOf, type FeatureSet, largestPerImage, pick, TokenExtractor } from "./features.js";
import type { Frame } from "./frame.js";
import { type Extractor, gather, type Gathered, type Omissions } from "./gather.js";
import { clusteredShare, type Estimate } from "./interval.js";
import { classify, nearest } from "./knn.js";
import { PixelExtractor } from "./pixels.js";

/** One figure with its name, e.g. `trained/mask/knn20/top1`; a share 0..1 with a 95 % interval. */
export interface Measurement extends Estimate {
  readonly name: string;
}

/** What is compared. */
export const contenders = ["pixels", "untrained", "trained"] as const;
export type Contender = (typeof contenders)[number];

/** `mask` and `none`: one feature an object; `image`: one an image, its class the largest object's. */
export const levels = ["mask", "none", "image"] as const;
export type Level = (typeof levels)[number];

export interface EvaluateOptions {
  readonly recipe: Recipe;
  /** the teacher to judge; without it only the two baselines are measured */
  readonly trained?: Network | undefined;
  /** its labelled objects vote */
  readonly train: DataSource;
  /** its labelled objects are classified */
  readonly test: DataSource;
  /** side of the network's input, pixels; default: the recipe's global views */
  readonly size?: number | undefined;
  /** default `whole`: no object is lost */
  readonly frame?: Frame | undefined;
  /** numbers of neighbours; the first is the one that tables show */
  readonly k?: readonly number[] | undefined;
  /** images read from each source at most */
  readonly limit?: number | undefined;
  /** least share of the image that an object covers */
  readonly minArea?: number | undefined;
  /** draws the images of the intervals and the examples */
  readonly seed?: number | undefined;
  readonly onProgress?: ((part: "train" | "test", done: number, of: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** All that was measured; plain JSON, the contents of `evaluation.json`. */
export interface Evaluation {
  readonly classes: readonly string[];
  readonly settings: {
    readonly size: number;
    readonly frame: Frame;
    /** neighbours that really voted: at most the objects in the bank */
    readonly k: readonly number[];
    readonly minArea: number;
    readonly seed: number;
  };
  readonly train: PartSummary;
  readonly test: PartSummary;
  readonly measurements: readonly Measurement[];
  /** share of test objects that are of the bank's most frequent class: what no features reach */
  readonly majority: number;
  /** nearest neighbours of some test objects by the trained teacher with masks */
  readonly examples: readonly Example[];
}

export interface PartSummary {
  readonly images: number;
  readonly objects: number;
  readonly omitted: Omissions;
}

/** Neighbours that vote unless asked otherwise; 20 is what published tables report. */
export const defaultK: readonly number[] = [20, 1, 5, 10, 50];

/**
 * Weighted k-NN of objects and images by raw pixels, by the untrained network of the same recipe
 * and seed, and by the trained teacher (facts: the published protocol of DINO and iBOT).
 *
 * @throws DataError when a source has no labelled object to work with
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { recipe, trained, train, test, frame = "whole", minArea = 0, seed = 0 } = options;
  const size = options.size ?? recipe.views.globals.size;
  if (size % recipe.model.patch !== 0)
    throw new ConfigError(
      `evaluation: size ${size} is not a multiple of the network's patch, ${recipe.model.patch}. ` +
        `Wanted for example ${Math.max(1, Math.round(size / recipe.model.patch)) * recipe.model.patch}.`,
    );
  const asked = options.k ?? defaultK;
  const classes = sharedClasses(train, test);
  const device = trained ? deviceOf(trained) : "cpu";
  const untrained = buildNetwork(recipe, "teacher")
    .init(new Generator(recipe.seed))
    .requiresGrad_(false)
    .to(device);
  try {
    const read = async (part: "train" | "test"): Promise<Gathered> => {
      const gathered = await gather(
        part === "train" ? train : test,
        {
          size,
          frame,
          minArea,
          patch: recipe.model.patch,
          limit: options.limit,
          signal: options.signal,
          onProgress: (done, of) => options.onProgress?.(part, done, of),
        },
        extractors(size, untrained, trained),
      );
      if (gathered.items.length === 0) throw nothingToJudge(part, gathered);
      return gathered;
    };
    const bank = await read("train");
    const queries = await read("test");
    const measurements: Measurement[] = [];
    for (const name of contenders.slice(0, trained ? 3 : 2)) {
      for (const level of levels) {
        const [from, of] = [featureSet(bank, name, level), featureSet(queries, name, level)];
        const shares = knnShares(from, of, { k: asked, classes: classes.length, seed, device });
        for (const share of shares)
          measurements.push({ ...share, name: `${name}/${level}/${share.name}` });
      }
    }
    return {
      classes,
      settings: { size, frame, k: asked.map((k) => Math.min(k, bank.items.length)), minArea, seed },
      train: summary(bank),
      test: summary(queries),
      measurements,
      majority: majority(bank.labels, queries.labels, classes.length),
      examples: trained
        ? neighbourExamples(
            featureSet(bank, "trained", "mask"),
            featureSet(queries, "trained", "mask"),
            seed,
          )
        : [],
    };
  } finally {
    untrained.free();
  }
}

function extractors(
  size: number,
  untrained: Network,
  trained?: Network,
): Readonly<Record<string, Extractor>> {
  return {
    "pixels/mask": new PixelExtractor("mask"),
    "pixels/none": new PixelExtractor("none"),
    "pixels/image": new PixelExtractor("image"),
    "untrained/mask": new TokenExtractor(untrained, "mask", size),
    "untrained/none": new TokenExtractor(untrained, "none", size),
    ...(trained && {
      "trained/mask": new TokenExtractor(trained, "mask", size),
      "trained/none": new TokenExtractor(trained, "none", size),
    }),
  };
}

/** Rows of one contender at one level. A network without a mask has one feature per image anyway. */
function featureSet(gathered: Gathered, contender: Contender, level: Level): FeatureSet {
  const { items, labels, features } = gathered;
  const key = level === "image" && contender !== "pixels" ? "none" : level;
  const set = { ...features[`${contender}/${key}`]!, items, labels };
  return level === "image" ? pick(set, largestPerImage(items)) : set;
}

/** Top-1 and top-5 for each k: `knn20/top1`, …; named by the k that was asked for. */
export function* knnShares(
  bank: FeatureSet,
  queries: FeatureSet,
  options: {
    readonly k: readonly number[];
    readonly classes: number;
    readonly seed: number;
    readonly device?: string;
  },
): Iterable<Measurement> {
  const neighbours = nearest(bank, queries, Math.max(...options.k), options.device);
  const images = queries.items.map(({ image }) => image);
  for (const k of options.k) {
    const result = classify(neighbours, bank.labels, queries.labels, options.classes, k);
    for (const top of ["top1", "top5"] as const)
      yield { name: `knn${k}/${top}`, ...clusteredShare(result[top], images, options.seed) };
  }
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
