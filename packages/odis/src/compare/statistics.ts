import { deviation } from "d3-array";
import {
  imageCounts,
  imageDraws,
  limits,
  type Outcome,
  score,
  weightedSum,
} from "../evaluate/index.js";
import { Rng } from "../core/index.js";

/** What one run was measured to be, as a function of the test images. */
export interface SeedScore {
  readonly seed: number;
  /** 0..1 */
  readonly value: number;
  /** how the value comes about; undefined where only the value is known */
  readonly perImage?: PerImage | undefined;
}

export interface PerImage {
  /** names, each once */
  readonly images: readonly string[];
  /** the value on each draw of images of `imageDraws`; worked out when first asked for */
  readonly draws: () => readonly number[];
}

/** A measurement as a function of the test images. */
export function perImage(outcome: Outcome): PerImage {
  const { images, width, sums } = imageCounts(outcome);
  let found: readonly number[] | undefined;
  const onDraw = (weights: Uint8Array): number =>
    score(outcome.kind, weightedSum(sums, width, weights));
  return { images, draws: () => (found ??= imageDraws(images.length, 0).map(onDraw)) };
}

/** A mean over seeds with a 95 % interval; NaN where it cannot be known. */
export interface SeedSummary {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** standard deviation over seeds (n - 1); NaN for one seed */
  readonly deviation: number;
  readonly seeds: number;
  /** whether the interval knows of the test images, or of seeds alone */
  readonly overImages: boolean;
}

/** Draws of the seeds' part for each draw of images, and how many of those where there are none. */
const draws = { seeds: 4, images: 1000 };

/**
 * Mean over seeds. The 95 % interval answers: what if seeds and test images were other ones?
 *
 * Seeds are too few to be drawn: from three there are only ten different draws. Everything that
 * varies from seed to seed, luck with single objects included, is drawn from what is known of a mean
 * of few normal values instead: Student's t with n - 1 degrees of freedom times the standard error.
 * To it comes what seeds have in common and other images would change: images are drawn with
 * replacement, as wholes and the same ones for every seed, and the part of that spread which
 * seeds do not share is taken off, because the first part holds it already. Simulated, such
 * intervals hold the truth in 94 to 98 of 100 cases with two to five seeds; drawing seeds holds it in
 * far fewer where seeds differ more than images (`statistics.test.ts`). With one seed the interval is over
 * images alone and says nothing of other seeds.
 */
export function summarise(scores: readonly SeedScore[]): SeedSummary {
  const seeds = scores.length;
  const values = scores.map(({ value }) => value);
  const value = mean(values);
  const spread = standardDeviation(values);
  const images = sharedImages(scores);
  const known = { value, deviation: spread, seeds, overImages: images !== undefined };
  if (seeds === 0 || (seeds === 1 && !images))
    return { ...known, low: Number.NaN, high: Number.NaN };
  const ofSeeds = images && scores.map(({ perImage }) => perImage!.draws());
  const drawn = ofSeeds
    ? ofSeeds[0]!.map((_, draw) => ofSeeds.map((of) => of[draw]!))
    : Array.from({ length: draws.images }, () => values);
  const centers = drawn.map(mean);
  if (seeds === 1) return { ...known, ...limits(centers) };

  const common = commonShare(drawn, centers);
  const error = spread / Math.sqrt(seeds);
  const deviates = studentDraws(seeds - 1);
  const samples = centers.flatMap((center, draw) => {
    const shared = value + common * (center - value);
    const from = draws.seeds * draw;
    return deviates
      .slice(from, from + draws.seeds)
      .flatMap((t) => [shared - error * t, shared + error * t]);
  });
  return { ...known, ...limits(samples) };
}

/**
 * How much of what other images change is common to all seeds, as a factor of its standard
 * deviation, 0..1. What a seed makes of an image beyond that averages out over n seeds: a share of
 * the centers' variance that its own variance over n - 1 estimates.
 *
 * @param drawn [draws][seeds]
 * @param centers [draws] means over seeds
 */
function commonShare(drawn: readonly (readonly number[])[], centers: readonly number[]): number {
  const whole = drawn.flatMap((row, at) => (Number.isNaN(centers[at]) ? [] : [{ row, at }]));
  const total = standardDeviation(whole.map(({ at }) => centers[at]!)) ** 2;
  if (!(total > 0)) return 0;
  const seeds = drawn[0]!.length;
  const own = Array.from({ length: seeds }, (_, seed) =>
    standardDeviation(whole.map(({ row, at }) => row[seed]! - centers[at]!)),
  );
  const averaged = mean(own.map((one) => one ** 2)) / (seeds - 1);
  return Math.sqrt(Math.max(0, 1 - averaged / total));
}

/**
 * How much better `left` is than `right`: seed by seed on the same draws of images, then as
 * {@link summarise}. Seeds that only one of them has are left out. Where the images are not the same
 * ones, or not known, only the seeds speak.
 */
export function difference(left: readonly SeedScore[], right: readonly SeedScore[]): SeedSummary {
  const pairs = left.flatMap((one) => {
    const other = right.find(({ seed }) => seed === one.seed);
    return other ? [{ one, other }] : [];
  });
  const differences = pairs.map(({ one, other }): SeedScore => {
    const plain = { seed: one.seed, value: one.value - other.value };
    const [a, b] = [one.perImage, other.perImage];
    if (!a || !b || !sameImages(a, b)) return plain;
    const draws = (): readonly number[] => {
      const others = b.draws();
      return a.draws().map((drawn, draw) => drawn - others[draw]!);
    };
    return { ...plain, perImage: { images: a.images, draws } };
  });
  return summarise(differences);
}

/** Whether 0 is outside of the interval; undefined without one. */
export function differs({ low, high }: Pick<SeedSummary, "low" | "high">): boolean | undefined {
  return Number.isNaN(low) ? undefined : low > 0 || high < 0;
}

/** The test images of all scores; undefined where one is unknown or has others. */
function sharedImages(scores: readonly SeedScore[]): readonly string[] | undefined {
  const first = scores[0]?.perImage;
  const same = scores.every(({ perImage }) => first && perImage && sameImages(first, perImage));
  return same ? first?.images : undefined;
}

function sameImages({ images: a }: PerImage, { images: b }: PerImage): boolean {
  return a === b || (a.length === b.length && a.every((image, at) => image === b[at]));
}

const deviatesOf = new Map<number, readonly number[]>();

/** Draws of Student's t, the same ones for every comparison: as many as a summary asks for. */
function studentDraws(freedom: number): readonly number[] {
  let known = deviatesOf.get(freedom);
  if (known === undefined) {
    const rng = new Rng("student", freedom);
    known = Array.from({ length: draws.seeds * draws.images }, () => {
      let squares = 0;
      for (let i = 0; i < freedom; i += 1) squares += rng.normal() ** 2;
      return rng.normal() / Math.sqrt(squares / freedom);
    });
    deviatesOf.set(freedom, known);
  }
  return known;
}

/** NaN where one of them is: d3's would pass it over. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample (n - 1). */
function standardDeviation(values: readonly number[]): number {
  return deviation(values) ?? Number.NaN;
}
