import { Generator } from "@odis/torch";
import type { DataSource } from "../data/index.js";
import { DataError } from "../core/index.js";
import type { Network } from "../model/index.js";
import { buildNetwork } from "../train/index.js";
import { attributeFits } from "./suites/attributes.js";
import { DenseEvaluation } from "./suites/dense.js";
import { type Example, neighbourExamples } from "./examples.js";
import {
  deviceOf,
  type FeatureSet,
  type Gathered,
  type InferenceMode,
  type Omissions,
} from "../features/index.js";
import { estimate, type Estimate } from "./statistics.js";
import { knnShares } from "./suites/knn.js";
import { type ChosenProbe, linearShares } from "./suites/linear.js";
import {
  type EvaluateOptions,
  type Part,
  probedModes,
  type Settings,
  settingsOf,
} from "./options.js";
import type { Measured, Outcome, Outcomes } from "./outcome.js";
import {
  columnsOf,
  type Contender,
  type Level,
  levels,
  networkSubject,
  type PartFeatures,
  pixelSubject,
  readPart,
  type Subject,
} from "./subjects.js";

/**
 * One figure with its name, e.g. `trained/object/mask/knn20/top1`, and its 95 % interval: 0..1, an R²
 * at most 1.
 */
export interface Measurement extends Estimate {
  readonly name: string;
}

/** All that was measured; plain JSON, the contents of `evaluation.json`. */
export interface Evaluation {
  readonly classes: readonly string[];
  readonly settings: Settings;
  readonly train: PartSummary;
  readonly test: PartSummary;
  readonly measurements: readonly Measurement[];
  /** share of test objects that are of the bank's most frequent class: what no features reach */
  readonly majority: number;
  /** the linear classifiers that were tested */
  readonly probes: readonly ChosenProbe[];
  /** nearest neighbours of some test objects by the trained teacher in the first mode */
  readonly examples: readonly Example[];
}

export interface PartSummary {
  readonly images: number;
  readonly objects: number;
  readonly omitted: Omissions;
}

/**
 * Frozen features of objects and images, judged by suites (weighted k-NN, linear classifiers,
 * segmentation by patches, attributes beside the class): those of raw pixels, of the untrained
 * network of the same recipe and seed, and of the trained teacher.
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
    ? buildNetwork(recipe, "teacher").init(new Generator(recipe.seed)).requiresGrad_(false)
    : undefined;
  untrained?.to(device);
  const subjects = subjectsOf(options, settings, untrained);
  try {
    return await judgeAll(subjects, options, { settings, classes, device });
  } finally {
    for (const { dense } of subjects) dense?.[Symbol.dispose]();
    untrained?.free();
  }
}

function subjectsOf(
  { recipe, trained, train, limit }: EvaluateOptions,
  settings: Settings,
  untrained: Network | undefined,
): Subject[] {
  const ofNetwork = (name: Contender, network: Network | undefined): Subject[] => {
    if (!network) return [];
    const dense = settings.suites.includes("dense")
      ? new DenseEvaluation(network, {
          ...settings,
          patch: recipe.model.patch,
          classes: train.classes.length + 1,
          images: Math.min(train.size, limit ?? train.size),
        })
      : undefined;
    return [networkSubject(name, network, settings, dense)];
  };
  return [
    ...(settings.baselines ? [pixelSubject()] : []),
    ...ofNetwork("untrained", untrained),
    ...ofNetwork("trained", trained),
  ];
}

async function judgeAll(
  subjects: readonly Subject[],
  options: EvaluateOptions,
  {
    settings,
    classes,
    device,
  }: Pick<Judge, "settings" | "device"> & { classes: readonly string[] },
): Promise<{ readonly evaluation: Evaluation; readonly outcomes: Outcomes }> {
  const { signal } = options;
  const read = async (part: Part): Promise<PartFeatures> => {
    const found = await readPart(part, options, settings, subjects);
    if (found.items.length === 0) throw nothingToJudge(part, found);
    return found;
  };
  const probes: ChosenProbe[] = [];
  const bank = await read("train");
  for (const { name, dense } of subjects)
    if (dense) probes.push({ name: `${name}/dense/linear`, ...(await dense.learn(signal)) });
  const queries = await read("test");

  const judge = { bank, queries, settings, classes: classes.length, device, signal };
  const outcomes = new Map<string, Outcome>();
  const add = (found: Iterable<Measured>): void => {
    for (const [name, outcome] of found) outcomes.set(name, outcome);
  };
  for (const subject of subjects) {
    const { name, dense } = subject;
    if (settings.suites.includes("knn")) add(knnOf(subject, judge));
    if (settings.suites.includes("linear")) {
      const linear = await linearOf(subject, judge);
      add(linear.measured);
      probes.push(...linear.probes);
    }
    add(attributesOf(subject, judge));
    if (dense) add(dense.measured().map(([measure, of]) => [`${name}/${measure}`, of]));
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
    probes,
    examples: options.trained && settings.suites.includes("knn") ? examples(judge) : [],
  };
  return { evaluation, outcomes };
}

/** Both parts, and what all suites need to judge them. */
interface Judge {
  readonly bank: PartFeatures;
  readonly queries: PartFeatures;
  readonly settings: Settings;
  readonly classes: number;
  readonly device: string;
  readonly signal: AbortSignal | undefined;
}

/** A subject's summaries of the bank's and of the queries' items. */
function summaries(
  { name, summary }: Subject,
  { bank, queries }: Judge,
  mode: InferenceMode,
  level: Level,
): readonly [bank: FeatureSet, queries: FeatureSet] {
  const of = (part: PartFeatures): FeatureSet =>
    columnsOf(part.set(name, mode, level), summary(mode));
  return [of(bank), of(queries)];
}

function* knnOf(subject: Subject, judge: Judge): Iterable<Measured> {
  const { name } = subject;
  const { settings, classes, device } = judge;
  for (const level of levels)
    for (const mode of settings.modes) {
      const [from, of] = summaries(subject, judge, mode, level);
      for (const [measure, outcome] of knnShares(from, of, { k: settings.k, classes, device }))
        yield [`${name}/${level}/${mode}/${measure}`, outcome];
    }
}

function* attributesOf(subject: Subject, judge: Judge): Iterable<Measured> {
  const { name } = subject;
  const { settings, bank, queries, device } = judge;
  if (!bank.attributes || !queries.attributes) return;
  const notes = { bank: bank.attributes, queries: queries.attributes };
  for (const mode of settings.modes) {
    const [from, of] = summaries(subject, judge, mode, "object");
    const options = { seed: settings.seed, device };
    for (const [measure, outcome] of attributeFits(from, of, notes, options))
      yield [`${name}/object/${mode}/${measure}`, outcome];
  }
}

async function linearOf(
  { name, probed }: Subject,
  { settings, bank, queries, ...rest }: Judge,
): Promise<{ readonly measured: Measured[]; readonly probes: ChosenProbe[] }> {
  const measured: Measured[] = [];
  const probes: ChosenProbe[] = [];
  for (const mode of settings.modes.filter((m) => probedModes.includes(m))) {
    const [from, of] = [bank, queries].map((part) => part.set(name, mode, "object"));
    const options = { ...rest, settings: settings.probe, seed: settings.seed };
    const result = await linearShares(from!, of!, probed, options);
    const prefix = `${name}/object/${mode}`;
    for (const [measure, outcome] of result.measured)
      measured.push([`${prefix}/${measure}`, outcome]);
    probes.push({ name: `${prefix}/linear`, ...result.probe });
  }
  return { measured, probes };
}

function examples({ bank, queries, settings: { modes, seed } }: Judge): Example[] {
  const [mode] = modes;
  const [from, of] = [bank, queries].map((part) => part.set("trained", mode!, "object"));
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
