import type { Network } from "../model/index.js";
import { AttributeNotes, type Note } from "./suites/attributes.js";
import type { DenseEvaluation } from "./suites/dense.js";
import {
  type Consumer,
  type Extractor,
  type FeatureSet,
  gather,
  type Gathered,
  type InferenceMode,
  largestPerImage,
  NetworkFeatures,
  Passes,
  type PassReader,
  pick,
} from "../features/index.js";
import { probedBlocks, type ProbedFeature, probedFeatures } from "./suites/linear.js";
import { type EvaluateOptions, type Part, probedModes, type Settings } from "./options.js";
import { PixelExtractor, pixelWidth } from "./pixels.js";
import type { Columns } from "./suites/probe.js";

/** What is compared. */
export const contenders = ["pixels", "untrained", "trained"] as const;
export type Contender = (typeof contenders)[number];

/** `object`: every labelled object is an item. `image`: only each image's largest one is. */
export const levels = ["object", "image"] as const;
export type Level = (typeof levels)[number];

/** A contender, and how it comes to features in an inference mode. */
export interface Subject {
  readonly name: Contender;
  /** @param readers of the same passes */
  readonly extractor: (mode: InferenceMode, readers: readonly PassReader[]) => Extractor;
  /** the columns of its features that are compared by similarity */
  readonly summary: (mode: InferenceMode) => Columns;
  /** those that linear classifiers are tried on */
  readonly probed: readonly ProbedFeature[];
  /** judges its patch features */
  readonly dense?: DenseEvaluation | undefined;
  /** shows readers the whole images; for when no extractor's passes do */
  readonly whole?: (readers: readonly PassReader[]) => Consumer;
}

export function pixelSubject(): Subject {
  const all = { from: 0, width: pixelWidth };
  return {
    name: "pixels",
    extractor: (mode) => new PixelExtractor(mode),
    summary: () => all,
    probed: [{ ...all, blocks: 0, average: false }],
  };
}

/** Where linear probes want several blocks, the same passes give them. */
export function networkSubject(
  name: Contender,
  network: Network,
  { suites, size, feature: kind }: Settings,
  dense?: DenseEvaluation,
): Subject {
  const { depth, dim } = network.backbone.config;
  const wide = (mode: InferenceMode): boolean =>
    suites.includes("linear") && probedModes.includes(mode);
  return {
    name,
    dense,
    whole: (readers) => new Passes(network, "none", kind, size, readers),
    extractor: (mode, readers) =>
      new NetworkFeatures(network, {
        mode,
        size,
        kind,
        readers,
        blocks: wide(mode) ? probedBlocks : 1,
        average: wide(mode) && kind === "token",
      }),
    summary: (mode) => ({
      from: wide(mode) ? (Math.min(probedBlocks, depth) - 1) * dim : 0,
      width: dim,
    }),
    probed: probedFeatures(depth, dim, kind),
  };
}

/** One of the two data sets, read once. */
export interface PartFeatures extends Gathered {
  /** the features of a contender in a mode, all columns */
  readonly set: (contender: Contender, mode: InferenceMode, level: Level) => FeatureSet;
  /** of every object; undefined when nobody asks for them */
  readonly attributes: readonly Note[] | undefined;
}

/** Reads a data set once for all subjects and modes. */
export async function readPart(
  part: Part,
  options: EvaluateOptions,
  { suites, modes, size, frame, minArea, masks }: Settings,
  subjects: readonly Subject[],
): Promise<PartFeatures> {
  const read = modes.filter(
    (mode) =>
      suites.includes("knn") ||
      suites.includes("attributes") ||
      (suites.includes("linear") && probedModes.includes(mode)),
  );
  const extractors = new Map<string, Extractor>();
  const notes = suites.includes("attributes") ? new AttributeNotes() : undefined;
  const others: Consumer[] = notes ? [notes] : [];
  for (const { name, extractor, dense, whole } of subjects) {
    const readers = dense?.readers(part) ?? [];
    for (const mode of read)
      extractors.set(`${name}/${mode}`, extractor(mode, mode === "none" ? readers : []));
    if (whole && readers.length > 0 && !read.includes("none")) others.push(whole(readers));
  }
  const gathered = await gather(
    options[part],
    {
      size,
      frame,
      minArea,
      masks,
      patch: options.recipe.model.patch,
      limit: options.limit,
      signal: options.signal,
      onProgress: (done, of) => options.onProgress?.(part, done, of),
    },
    [...extractors.values(), ...others],
  );
  const { items, labels } = gathered;
  const largest = largestPerImage(items);
  return {
    ...gathered,
    attributes: notes?.notes,
    set(contender, mode, level) {
      const all = { ...extractors.get(`${contender}/${mode}`)!.rows(), items, labels };
      return level === "image" ? pick(all, largest) : all;
    },
  };
}

/** Some neighbouring columns of a feature set. */
export function columnsOf(set: FeatureSet, { from, width }: Columns): FeatureSet {
  if (width === set.width) return set;
  const features = new Float32Array(set.items.length * width);
  for (const row of set.items.keys()) {
    const begin = row * set.width + from;
    features.set(set.features.subarray(begin, begin + width), row * width);
  }
  return { ...set, features, width };
}
