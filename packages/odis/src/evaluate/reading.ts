import type { DataSource } from "../data/index.js";
import {
  type Consumer,
  type Extractor,
  type FeatureSet,
  gather,
  type Gathered,
  type GatherOptions,
  type InferenceMode,
  largestPerImage,
  type Omissions,
  type PassReader,
  type Repetition,
} from "../features/index.js";
import type { Columns } from "./probe.js";
import type { Representation, RepresentationName } from "./representations.js";
import { pickShared, type SharedSet } from "./shares.js";

/** `object`: every labelled object is an item. `image`: only each image's largest one is. */
export const levels = ["object", "image"] as const;
export type Level = (typeof levels)[number];

/** Features of objects that somebody wants to be read. */
export interface Needs {
  readonly modes: readonly InferenceMode[];
  /** all columns that linear probes are tried on, beside the summaries */
  readonly wide?: boolean;
}

/** What was read of a data set, and what was left out. */
export interface SplitSummary {
  readonly images: number;
  readonly objects: number;
  /** images that show a picture once more */
  readonly repeated: readonly Repetition[];
  readonly omitted: Omissions;
}

export function summaryOf({ images, items, repeated, omitted }: Gathered): SplitSummary {
  return { images, objects: items.length, repeated, omitted };
}

/** Another data set than the evaluation's own, which a suite has read. */
export interface OtherData {
  readonly name: string;
  readonly train: SplitSummary;
  readonly test: SplitSummary;
  /** classes that only its test part has; objects of them are left out, as without a class */
  readonly unknownClasses: readonly string[];
}

/** A data set that was read once, by all representations; of several processes each has read its share. */
export interface ReadData extends Gathered {
  /** the features that are compared by similarity */
  readonly summaries: (by: RepresentationName, mode: InferenceMode, level: Level) => SharedSet;
  /** all columns that were read */
  readonly columns: (by: RepresentationName, mode: InferenceMode) => SharedSet;
}

export interface ReadDataOptions extends GatherOptions {
  readonly needs: readonly Needs[];
  readonly consumers?: readonly Consumer[];
  /** read the passes of whole images */
  readonly readers?: (by: Representation) => readonly PassReader[];
}

/** Reads a data set once for all representations and modes. */
export async function readData(
  source: DataSource,
  representations: readonly Representation[],
  { needs, consumers = [], readers = () => [], ...options }: ReadDataOptions,
): Promise<ReadData> {
  const modes = new Set(needs.flatMap((need) => need.modes));
  const wide = new Set(needs.flatMap((need) => (need.wide === true ? need.modes : [])));
  const extractors = new Map<string, Extractor>();
  const others = [...consumers];
  for (const by of representations) {
    const along = readers(by);
    for (const mode of modes) {
      const readsWhole = mode === "none" ? along : [];
      const how = { size: options.size, wide: wide.has(mode), readers: readsWhole };
      extractors.set(`${by.name}/${mode}`, by.extractor(mode, how));
    }
    if (by.whole && along.length > 0 && !modes.has("none")) others.push(by.whole(along));
  }
  const gathered = await gather(source, options, [...extractors.values(), ...others]);
  const { items, labels } = gathered;
  const { first, count } = gathered.own;
  const own = {
    items: items.slice(first, first + count),
    labels: labels.slice(first, first + count),
  };
  const largest = largestPerImage(items);
  const rows = (name: RepresentationName, mode: InferenceMode): FeatureSet => ({
    ...extractors.get(`${name}/${mode}`)!.rows(),
    ...own,
  });
  return {
    ...gathered,
    columns: (name, mode) => ({ own: rows(name, mode), first, items, labels }),
    summaries(name, mode, level) {
      const by = representations.find((one) => one.name === name)!;
      const summary = columnsOf(rows(name, mode), by.summary(wide.has(mode)));
      const all = { own: summary, first, items, labels };
      return level === "image" ? pickShared(all, largest) : all;
    },
  };
}

/** Some neighbouring columns of a feature set. */
function columnsOf(set: FeatureSet, { from, width }: Columns): FeatureSet {
  if (width === set.width) return set;
  const features = new Float32Array(set.items.length * width);
  for (const row of set.items.keys()) {
    const begin = row * set.width + from;
    features.set(set.features.subarray(begin, begin + width), row * width);
  }
  return { ...set, features, width };
}
