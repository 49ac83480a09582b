import { Generator } from "@odis/torch";
import type { DataSource } from "../data/index.js";
import { ConfigError, DataError } from "../core/index.js";
import { deviceOf, type Gathered } from "../features/index.js";
import type { Network } from "../model/index.js";
import type { Recipe } from "../recipe/index.js";
import { buildNetwork, World } from "../train/index.js";
import type { Example } from "./examples.js";
import type { Outcome, Outcomes } from "./outcome.js";
import type { ChosenProbe } from "./probe.js";
import {
  type OtherData,
  type ReadData,
  readData,
  type ReadDataOptions,
  type SplitSummary,
  summaryOf,
} from "./reading.js";
import {
  networkTokens,
  rawPixels,
  type Representation,
  type RepresentationName,
} from "./representations.js";
import {
  chosenSuites,
  type EvaluationSettings,
  type GivenSettings,
  headlineOf,
  mainDataUse,
  settingsOf,
  suites,
} from "./settings.js";
import { checkSame } from "./same.js";
import { byPixels, relabelled, subset } from "./splits.js";
import { type Difference, estimate, type Estimate, pairedDifference } from "./statistics.js";
import { type Finding, type Job, nameOf, type Split, type Watch } from "./suite.js";

/** What is evaluated, and the settings that are not left to their defaults. */
export interface EvaluateOptions extends GivenSettings {
  readonly recipe: Recipe;
  /** the teacher to evaluate; without it only the two baselines are measured */
  readonly trained?: Network | undefined;
  /** its labelled objects vote and teach */
  readonly train: DataSource;
  /** its labelled objects are classified */
  readonly test: DataSource;
  /** @param what `train`, `test`, or the name of another data set */
  readonly onProgress?: ((what: string, done: number, of: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

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
  readonly settings: EvaluationSettings;
  readonly train: SplitSummary;
  readonly test: SplitSummary;
  readonly measurements: readonly Measurement[];
  /** share of test objects that are of the bank's most frequent class: what no features reach; NaN of none */
  readonly majority: number;
  /** classes that only the test data has; objects of them are left out, as without a class */
  readonly unknownClasses: readonly string[];
  /** data sets that suites have brought, beside the evaluation's own */
  readonly others: readonly OtherData[];
  /** how much better the trained teacher is than others, by the headline's figure */
  readonly differences: readonly HeadlineDifference[];
  /** the linear classifiers that were tested */
  readonly probes: readonly ChosenProbe[];
  /** nearest neighbours of some test objects by the trained teacher in the first mode */
  readonly examples: readonly Example[];
}

/** Of the same images: what makes an image hard for both cancels out. */
export interface HeadlineDifference extends Difference {
  readonly to: Exclude<RepresentationName, "trained">;
}

export interface Evaluated {
  readonly evaluation: Evaluation;
  readonly outcomes: Outcomes;
}

/**
 * Frozen features of objects and images, measured by suites (`suites/index.ts`): those of raw pixels,
 * of the untrained network of the same recipe and seed, and of the trained teacher.
 *
 * @returns the figures, and for each of them what became of every test item
 * @throws DataError when a source that a suite works on has no labelled object to work with
 * @throws ConfigError when the settings do not fit the network or leave nothing to measure
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluated> {
  return (await evaluateTogether(World.alone, options))!;
}

/**
 * The same by several processes, all of which call this with the same options. Each reads its share of
 * the images; neighbours, linear classifiers, class means and segmentation are computed on the features where they
 * are, all else by the first process. Figures are those of one process, but for the rounding of other sums.
 *
 * @returns undefined in all but the first
 * @throws as `evaluate`, and RunError when the processes evaluate different things
 */
export async function evaluateTogether(
  world: World,
  { recipe, trained, train: bank, test: asked, onProgress, signal, ...given }: EvaluateOptions,
): Promise<Evaluated | undefined> {
  const { classes } = bank;
  const isUnlabelled = classes.length === 0;
  // Nobody knows yet whether all were started alike: an error may be one process's own.
  const checked = async () => checkedSettings(given, recipe, isUnlabelled, trained);
  const settings = await world.together(checked());
  checkSame(world, { settings, recipe, trained, train: bank, test: asked });
  // Files are told apart by their bytes, other sources by their pixels: both by the same.
  const told = bank.picture && asked.picture;
  const [train, test] = told ? [bank, asked] : [byPixels(bank), byPixels(asked)];
  // What no suite asks for need not be decoded, nor be labelled.
  const isUnused = mainDataUse(settings) === "none";
  const { source: queries, unknown } = isUnused
    ? { source: subset(test, []), unknown: [] }
    : world.agree(() => relabelled(test, classes));
  const device = trained ? deviceOf(trained) : "cpu";
  const untrained = settings.baselines
    ? buildNetwork(recipe, "teacher").init(new Generator(recipe.seed)).requiresGrad_(false)
    : undefined;
  untrained?.to(device);
  const representations = [
    ...(settings.baselines ? [rawPixels()] : []),
    ...(untrained ? [networkTokens("untrained", untrained, settings)] : []),
    ...(trained ? [networkTokens("trained", trained, settings)] : []),
  ];
  const { patch } = recipe.model;
  const read = (what: string, source: DataSource, options: Reading): Promise<ReadData> =>
    readData(source, representations, {
      ...settings,
      patch,
      signal,
      world,
      unlabelled: isUnlabelled,
      onProgress: (done, of) => onProgress?.(what, done, of),
      ...options,
    });
  const images = Math.min(train.size, settings.limit ?? train.size);
  try {
    return await measureAll({
      train: isUnused ? subset(train, []) : train,
      test: queries,
      unknownClasses: unknown,
      read,
      job: { settings, representations, classes, images, patch, device, signal, world },
    });
  } finally {
    untrained?.free();
  }
}

/** @throws ConfigError when the settings do not go together with each other, the network or the data */
function checkedSettings(
  given: GivenSettings,
  recipe: Recipe,
  isUnlabelled: boolean,
  trained: Network | undefined,
): EvaluationSettings {
  const settings = settingsOf(given, recipe);
  if (isUnlabelled) checkUnlabelled(settings);
  if (!settings.baselines && !trained)
    throw new ConfigError(
      `evaluation: neither baselines nor a trained network; wanted at least one of them.`,
    );
  return settings;
}

/** @throws ConfigError when a suite wants classes */
function checkUnlabelled(settings: EvaluationSettings): void {
  const demanding = chosenSuites(settings).find(
    ({ unlabelled, elsewhere }) => unlabelled !== true && elsewhere !== true,
  );
  if (!demanding) return;
  const others = suites.filter(({ unlabelled }) => unlabelled).map(({ name }) => name);
  throw new ConfigError(
    `evaluation: --suite ${demanding.name} wants classes, and the data names none. Without them ` +
      `there is --suite ${others.join(",")}; or give labelled data: --train PLACE --test PLACE`,
  );
}

type Reading = Partial<ReadDataOptions> & Pick<ReadDataOptions, "needs">;

interface Work {
  readonly train: DataSource;
  readonly test: DataSource;
  readonly unknownClasses: readonly string[];
  readonly read: (what: string, source: DataSource, options: Reading) => Promise<ReadData>;
  readonly job: Omit<Job<EvaluationSettings>, "read">;
}

/** Reads the bank, lets suites learn from it, reads the test images, and measures suite by suite. */
async function measureAll({
  read,
  job: parts,
  unknownClasses,
  ...sources
}: Work): Promise<Evaluated | undefined> {
  const { settings, classes, world } = parts;
  const chosen = chosenSuites(settings);
  const job = {
    ...parts,
    read: (
      what: string,
      source: DataSource,
      {
        size = settings.size,
        frame = "whole",
        elsewhere,
        ...needs
      }: Parameters<Job<unknown>["read"]>[2],
    ) =>
      read(what, source, {
        needs: [needs],
        size,
        frame,
        elsewhere,
        limit: undefined,
        minArea: 0,
        unlabelled: false,
        masks: undefined,
      }),
  };
  const begun: Awaited<ReturnType<(typeof chosen)[number]["begin"]>>[] = [];
  const watches: Watch[] = [];
  const readSplit = async (split: Split, other?: ReadData): Promise<ReadData> => {
    const found = await read(split, sources[split], {
      elsewhere: other?.pictures,
      needs: chosen.map(({ needs }) => needs(settings)),
      consumers: watches.flatMap(({ consumers }) => consumers?.(split) ?? []),
      readers: (by: Representation) => watches.flatMap(({ readers }) => readers?.(split, by) ?? []),
    });
    if (found.items.length === 0 && mainDataUse(settings) !== "none")
      throw world.everywhere(nothingToMeasure(split, found));
    return found;
  };
  try {
    for (const { begin } of chosen) {
      const one = await begin(job);
      begun.push(one);
      watches.push(one.watch);
    }
    const bank = await readSplit("train");
    for (const { learn } of watches) await learn?.(bank);
    const queries = await readSplit("test", bank);
    const found = new Findings();
    for (const { measure } of begun)
      for await (const finding of measure({ ...job, bank, queries })) found.add(finding);
    if (world.rank > 0) return undefined; // what only the first found out is missing here
    const { outcomes, probes, examples, others } = found;
    const evaluation: Evaluation = {
      classes,
      settings,
      train: summaryOf(bank),
      test: summaryOf(queries),
      measurements: [...outcomes].map(([name, outcome]) => ({
        name,
        ...estimate(outcome, settings.seed),
      })),
      majority: majority(bank.labels, queries.labels, classes.length),
      unknownClasses,
      others,
      differences: headlineDifferences(settings, outcomes),
      probes,
      examples,
    };
    return { evaluation, outcomes };
  } finally {
    for (const watch of watches) watch[Symbol.dispose]?.();
  }
}

function headlineDifferences(
  settings: EvaluationSettings,
  outcomes: Outcomes,
): readonly HeadlineDifference[] {
  const measure = headlineOf(settings)?.figure.measure ?? "";
  const trained = outcomes.get(nameOf("trained", measure));
  return (["pixels", "untrained"] as const).flatMap((to) => {
    const other = outcomes.get(nameOf(to, measure));
    return trained && other ? [{ to, ...pairedDifference(trained, other, settings.seed) }] : [];
  });
}

/** What the suites found out, sorted by what it is. */
class Findings {
  readonly outcomes = new Map<string, Outcome>();
  readonly probes: ChosenProbe[] = [];
  readonly examples: Example[] = [];
  readonly others: OtherData[] = [];

  add(finding: Finding): void {
    if ("outcome" in finding) this.outcomes.set(finding.name, finding.outcome);
    else if ("probe" in finding) this.probes.push(finding.probe);
    else if ("other" in finding) this.others.push(finding.other);
    else this.examples.push(...finding.examples);
  }
}

function majority(bank: Int32Array, queries: Int32Array, classes: number): number {
  const counts = new Int32Array(classes);
  for (const label of bank) counts[label]! += 1;
  const most = counts.reduce((best, n, label) => (n > counts[best]! ? label : best), 0);
  return queries.filter((label) => label === most).length / queries.length;
}

function nothingToMeasure(split: string, { images, omitted }: Gathered): DataError {
  const { skipped, shared, lost, unlabelled, small } = omitted;
  return new DataError(
    `evaluation: the ${split} data has no object to work with: ${images} images read, ` +
      `${skipped.length} unreadable, ${shared.length} that are in the train data, too, ${unlabelled} ` +
      `objects without a class, ${small} below the least area, ${lost} too small to cover a pixel or ` +
      `outside the frame. Wanted at least one labelled object; check the annotations, lower the least ` +
      `area, or give other test data.`,
  );
}
