import { basename, dirname } from "node:path";
import { z } from "zod";
import { ConfigError, isRecord, plain, show } from "../../core/index.js";
import { type DataSource, parseDataSpec } from "../../data/index.js";
import { type FeatureSet, type InferenceMode, modeRules } from "../../features/index.js";
import { logisticPlaces } from "../logistic.js";
import type { EvaluationOptions } from "../options.js";
import { imageCounts, imageNames, type IouOutcome, type ShareOutcome } from "../outcome.js";
import { probedModes, probeOptions, type ProbeSettings, probeSettings } from "../probe.js";
import { summaryOf } from "../reading.js";
import { checkSameSet } from "../same.js";
import { byFirst } from "../shares.js";
import type { RepresentationName } from "../representations.js";
import {
  byPixels,
  type EvaluationData,
  openSplitsTogether,
  relabelled,
  type Splits,
} from "../splits.js";
import { type FigureTable, type Finding, type Job, nameOf, type ReadJob, suite } from "../suite.js";
import { knnShares } from "../votes.js";
import { linearShares } from "./linear.js";

/** Neighbours that vote. */
const NEIGHBOURS = 20;

const settings = {
  transfer: z
    .preprocess(
      withoutNeighbours,
      z
        .strictObject({
          /** data sets, `[NAME=]TRAIN::TEST` each, or a place of which a fifth is held out */
          sets: z.array(z.string().min(1)).default([]).readonly(),
        })
        .readonly(),
    )
    .prefault({}),
};

/** Evaluations of earlier releases say `k`, too, and never another one. */
function withoutNeighbours(given: unknown): unknown {
  if (!isRecord(given) || given["k"] !== NEIGHBOURS) return given;
  const { k: _k, ...rest } = given;
  return rest;
}

interface OwnSettings {
  readonly transfer: z.output<typeof settings.transfer>;
  readonly probe: ProbeSettings;
}

const options: EvaluationOptions = {
  transfer: {
    help: "other data sets that features are tried on, with classes of their own: places of which a fifth is held out, or pairs of places; several may be given. All of a set is read, as annotated: --limit, --min-area and --masks do not bound it, PLACE#take=0..0.1 does",
    type: { kind: "texts", placeholder: "[NAME=]TRAIN[::TEST]" },
    path: "transfer.sets",
    to: (sets) => [sets].flat(),
    from: (sets) => {
      const all = sets as readonly string[];
      return all.length > 0 ? all : undefined;
    },
  },
  ...probeOptions,
};

const ways = {
  knn: "k-NN",
  logistic: "logistic regression",
  linear: "linear probe",
} as const;
type Way = keyof typeof ways;
const allWays = Object.keys(ways) as readonly Way[];

/** What features of one data set are worth on others (ODIS, table 2; logistic regression as DINOv2's). */
export const transfer = suite({
  name: "transfer",
  summary: "classes of other data sets",
  settings: { ...settings, ...probeSettings },
  options,
  elsewhere: true,
  modes: (asked) => [modeOf(asked)],
  needs: () => ({ modes: [] }),
  watch: openSets,
  measure,
  describe: ({ settings: { modes, transfer: own } }) => ({
    meaning: `Transfer: classifiers of other data sets’ objects on frozen features (${modeRules[modeOf(modes)].name}; a picture without marked objects is one as a whole): the vote of the ${NEIGHBOURS} nearest, logistic regression whose penalty was chosen on a tenth of the training pictures, and the linear probe. The mean counts each data set alike.`,
    tables: own.sets.length === 0 ? [] : allWays.map((way) => tableOf(way, own.sets)),
  }),
});

function tableOf(way: Way, sets: readonly string[]): FigureTable {
  const names = sets.map(nameOfSet);
  const figure = (name: string, title: string) => ({
    key: `transfer-${way}-${name}`,
    title,
    measure: measureName(name, way),
  });
  return {
    title: `transfer, ${ways[way]} top-1, per cent`,
    short: `transfer, ${ways[way]}`,
    says: `it recognises what other data sets show, in the mean over ${sets.length} of them, by ${ways[way]} on its features`,
    figures: [figure(MEAN, `mean of ${sets.length}`), ...names.map((name) => figure(name, name))],
  };
}

/** No set may be called so. */
const MEAN = "mean";
/** What is left of places that name no folder. */
const nameless = ["", ".", ".."];

const measureName = (set: string, way: Way): string => `transfer/${set}/${way}/top1`;

/** The first one that linear probes know; others show parts of pictures as pictures of their own. */
const modeOf = (modes: readonly InferenceMode[]): InferenceMode =>
  modes.find((mode) => probedModes.includes(mode)) ?? "none";

/** `NAME=`, of letters, digits, dots and hyphens: no kind of data has such a place. */
const named = /^([\w.-]+)=/;
const SPLIT = "::";

/** What a set is called in tables: its name, or that of the folder that its training part lies in. */
function nameOfSet(text: string): string {
  const given = named.exec(text)?.[1];
  if (given !== undefined) return given;
  const [train] = text.split(SPLIT);
  const place = train!
    .replace(/#.*$/, "")
    .replace(/^[a-z-]+:/, "")
    .split(",")[0]!;
  const parts = /^(train|training|images)\d*$/;
  let folder = place;
  while (parts.test(basename(folder))) folder = dirname(folder);
  return basename(folder);
}

interface TransferSet {
  readonly name: string;
  readonly train: DataSource;
  readonly test: DataSource;
  readonly unknownClasses: readonly string[];
}

/** Opened before anything is read: a wrong name must not cost an hour. */
async function openSets({ settings: { transfer: own }, world }: Job<OwnSettings>) {
  const sets: TransferSet[] = [];
  for (const { name, text, data } of world.agree(() => namedSets(own.sets))) {
    const splits = await openSplitsTogether(world, data);
    checkSameSet(world, name, { "train data": splits.train, "test data": splits.test });
    const checked = async () => labelledSet(text, splits);
    sets.push({ name, ...(await world.together(checked())) });
  }
  return { sets };
}

interface NamedSet {
  readonly name: string;
  /** as it was given */
  readonly text: string;
  readonly data: EvaluationData;
}

/** @throws ConfigError when there is none, one is no place, or two have one name */
function namedSets(texts: readonly string[]): readonly NamedSet[] {
  if (texts.length === 0)
    throw new ConfigError(
      "evaluation: suite transfer wants other data sets. Name some: --transfer [NAME=]TRAIN::TEST, or a place " +
        "alone, of which a fifth is held out",
    );
  const sets: NamedSet[] = [];
  for (const text of texts) {
    const name = nameOfSet(text);
    const wrong = nameless.includes(name)
      ? "is none"
      : name === MEAN
        ? "stands for the mean of all"
        : sets.some((other) => other.name === name) && "is another's";
    if (wrong)
      throw new ConfigError(
        `evaluation: transfer ${show(text)}: its name would be ${show(name)}, which ${wrong}; ` +
          `give it another: --transfer NAME=${plain(text.replace(named, ""))}`,
      );
    const place = text.replace(named, "");
    sets.push({ name, text: place, data: dataOfSet(place) });
  }
  return sets;
}

function dataOfSet(text: string): EvaluationData {
  const places = text.split(SPLIT);
  if (places.length > 2 || places.includes(""))
    throw new ConfigError(
      `evaluation: transfer ${show(text)}: wanted TRAIN::TEST, or one place of which a fifth is held out`,
    );
  const [train, test] = places.map(parseDataSpec);
  return { train: train!, test };
}

/** @throws ConfigError when its classes are not named, DataError when its parts have none in common */
function labelledSet(text: string, splits: Splits): Omit<TransferSet, "name"> {
  if (splits.train.classes.length === 0)
    throw new ConfigError(
      `evaluation: transfer ${show(text)}: names no classes; wanted labelled data`,
    );
  const told = splits.train.picture && splits.test.picture;
  const [own, other] = told
    ? [splits.train, splits.test]
    : [byPixels(splits.train), byPixels(splits.test)];
  const { source, unknown: unknownClasses } = relabelled(other, own.classes);
  return { train: own, test: source, unknownClasses };
}

async function* measure(
  { read, representations, settings: all, device, signal, world }: ReadJob<OwnSettings>,
  { sets }: { readonly sets: readonly TransferSet[] },
): AsyncIterable<Finding> {
  const mode = modeOf(all.modes);
  const found = new Map<string, Map<string, ShareOutcome>>();
  for (const { name, train, test, unknownClasses } of sets) {
    const needs = { modes: [mode], wide: true, frame: all.frame } as const;
    const bank = await read(`${name}, train`, train, needs);
    const queries = await read(`${name}, test`, test, { ...needs, elsewhere: bank.pictures });
    if (bank.items.length === 0 || queries.items.length === 0)
      throw world.everywhere(
        new ConfigError(
          `evaluation: transfer ${name}: no object with a class is in its ${bank.items.length === 0 ? "training" : "test"} part`,
        ),
      );
    const [taught, tested] = [summaryOf(bank), summaryOf(queries)];
    yield { other: { name, train: taught, test: tested, unknownClasses } };
    for (const { name: by, probed } of representations) {
      const parts = [bank, queries];
      const [from, of] = parts.map((data) => data.summaries(by, mode, "object"));
      const [wide, asked] = parts.map((data) => data.columns(by, mode));
      const job = { classes: train.classes.length, seed: all.seed, device, signal, world };
      const linear = await linearShares(wide!, asked!, probed, { ...job, settings: all.probe });
      const shares = new Map(knnShares(from!, of!, { ...job, k: [NEIGHBOURS] }));
      const outcomes = {
        knn: shares.get(`knn${NEIGHBOURS}/top1`) as ShareOutcome,
        logistic: byFirst([from!, of!], job, (known, asked, alive) =>
          logisticShare(known, asked, { ...job, alive }),
        ),
        linear: new Map(linear.measured).get("linear/top1") as ShareOutcome,
      };
      for (const way of allWays) {
        const outcome = outcomes[way];
        if (!outcome) continue; // the first process has it
        yield { name: nameOf(by, measureName(name, way)), outcome };
        const key = keyOf(by, way);
        found.set(key, (found.get(key) ?? new Map<string, ShareOutcome>()).set(name, outcome));
      }
      yield { probe: { name: nameOf(by, `transfer/${name}/linear`), ...linear.probe } };
    }
  }
  for (const { name: by } of representations)
    for (const way of allWays) {
      const shares = found.get(keyOf(by, way));
      if (shares) yield { name: nameOf(by, measureName(MEAN, way)), outcome: meanOfShares(shares) };
    }
}

const keyOf = (by: RepresentationName, way: Way): string => `${by} ${way}`;

/** Classification by logistic regression: which queries were answered rightly. */
export function logisticShare(
  bank: FeatureSet,
  queries: FeatureSet,
  job: Parameters<typeof logisticPlaces>[2],
): ShareOutcome {
  const places = logisticPlaces(bank, queries, job);
  return {
    kind: "share",
    hits: Uint8Array.from(places, (place) => Number(place === 0)),
    images: imageNames(queries.items),
  };
}

/**
 * The mean of several data sets' shares, each counted alike, as the outcome that is such a mean: what
 * intersection and union are of a class, hits and items are of a data set.
 */
export function meanOfShares(shares: ReadonlyMap<string, ShareOutcome>): IouOutcome {
  const counts = [...shares].map(([set, share]) => ({ set, ...imageCounts(share) }));
  const images = counts.flatMap(({ set, images: names }) => names.map((name) => `${set}/${name}`));
  const classes = counts.length;
  const intersections = new Int32Array(images.length * classes);
  const unions = new Int32Array(images.length * classes);
  let row = 0;
  for (const [at, { images: names, sums }] of counts.entries())
    for (const image of names.keys()) {
      intersections[row * classes + at] = sums[2 * image]!;
      unions[row * classes + at] = sums[2 * image + 1]!;
      row += 1;
    }
  return { kind: "iou", images, classes, intersections, unions };
}
