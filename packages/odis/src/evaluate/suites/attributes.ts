import { eye, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import {
  type Consumer,
  type FeatureSet,
  type FramedImage,
  type FramedObject,
  modeRules,
} from "../../features/index.js";
import { imageNames, type Measured } from "../outcome.js";
import { heldOutPictures } from "../probe.js";
import { byFirst } from "../shares.js";
import { type Finding, nameOf, type ReadJob, type Split, suite } from "../suite.js";

/**
 * What an object is like beside its class, in numbers, as it stands in the framed image and as the
 * network is told of it: where masks are degraded on purpose, these are the degraded mask's.
 */
const attributesOf: Readonly<
  Record<string, (image: FramedImage, object: FramedObject) => readonly number[]>
> = {
  /** column and row of the mask's centre, shares of the side, 0..1 */
  place: (_, { inside }) => centre(inside),
  /** logarithm of the mask's pixels */
  size: (_, { inside }) => [Math.log(sum(inside))],
  /** logarithm of width over height of the box round the mask */
  shape: (_, { inside }) => [logAspect(inside)],
  /** mean of all channels inside the mask and outside of it, 0..1 */
  light: ({ pixels }, { inside }) => [meanLight(pixels, inside, 1)],
  surroundings: ({ pixels }, { inside }) => [meanLight(pixels, inside, 0)],
};

/** In the order of tables. */
export const attributeNames: readonly string[] = Object.keys(attributesOf);

/** What features tell of an object beside its class. */
export const attributes = suite({
  name: "attributes",
  summary: "what features tell of objects beside their class",
  settings: {},
  options: {},
  needs: ({ modes }) => ({ modes }),
  watch() {
    const notes = { train: new AttributeNotes(), test: new AttributeNotes() };
    return { notes, consumers: (split: Split) => [notes[split]] };
  },
  measure,
  describe({ settings: { modes } }) {
    const tables = modes.map((mode) => ({
      title: `beside the class, ${modeRules[mode].name}: R², per cent`,
      short: `attributes, ${modeRules[mode].name}`,
      lowest: Number.NEGATIVE_INFINITY,
      figures: attributeNames.map((name) => ({
        key: `${mode}-${name}`,
        title: name,
        measure: `object/${mode}/attributes/${name}`,
      })),
    }));
    return {
      meaning:
        "Beside the class: what ridge regression, learned on the bank, reads off a feature about its object: place (centre), size (logarithm of the mask’s area), shape (of width over height of its box), light (mean inside the mask), surroundings (mean outside of it). R²: 100 is all of it, 0 no more than the bank’s mean tells. Features that know light and surroundings but no classes took a short cut.",
      tables,
      // One table is enough beside other runs: the one with masks, where there is one.
      groups: tables.slice(Math.max(0, modes.indexOf("mask"))).slice(0, 1),
    };
  },
});

function* measure(
  job: ReadJob<object>,
  { notes }: { readonly notes: Readonly<Record<Split, AttributeNotes>> },
): Iterable<Finding> {
  const { representations, bank, queries, world } = job;
  const { modes, seed } = job.settings;
  const everywhere = (mine: readonly Note[]): readonly Note[] => world.shareValues(mine).flat();
  const truth = { bank: everywhere(notes.train.notes), queries: everywhere(notes.test.notes) };
  for (const { name } of representations)
    for (const mode of modes) {
      const [from, of] = [bank, queries].map((data) => data.summaries(name, mode, "object"));
      const found = byFirst([from!, of!], job, (known, asked, alive) => [
        ...attributeFits(known, asked, truth, { seed, device: job.device, alive }),
      ]);
      for (const [measure, outcome] of found ?? [])
        yield { name: nameOf(name, `object/${mode}/${measure}`), outcome };
    }
}

/** The numbers of each attribute of one object, in the order of `attributeNames`. */
export type Note = readonly (readonly number[])[];

/** Notes the attributes of every object, in the order in which features are made. */
export class AttributeNotes implements Consumer {
  /** [n] */
  readonly notes: Note[] = [];

  push(image: FramedImage): void {
    for (const object of image.objects)
      this.notes.push(Object.values(attributesOf).map((read) => read(image, object)));
  }

  finish(): void {}
}

/** Strengths of the ridge that are tried, as a share of the features' variance. */
const penalties = [1e-4, 1e-3, 1e-2, 1e-1, 1];

/**
 * How much of objects' attributes a linear map reads off their features: ridge regression on the
 * bank, its strength chosen on a tenth of the bank's images, scored by R² against the bank's mean.
 *
 * What a summary token knows beside classes says which short cuts self-distillation took: light and
 * surroundings tell objects apart without any notion of what they are.
 *
 * @param notes of the bank's and of the queries' objects
 * @returns `attributes/place`, …; an attribute in which all objects are alike is left out
 */
export function* attributeFits(
  bank: FeatureSet,
  queries: FeatureSet,
  notes: { readonly bank: readonly Note[]; readonly queries: readonly Note[] },
  {
    seed,
    device,
    alive,
  }: { readonly seed: number; readonly device: string; readonly alive?: () => void },
): Iterable<Measured> {
  const held = heldOutPictures([...new Set(bank.items.map(({ picture }) => picture))], seed);
  const isHeld = Uint8Array.from(bank.items, ({ picture }) => Number(held.has(picture)));
  const [kept, chosenOn] = [0, 1].map((side) =>
    [...isHeld.keys()].filter((row) => isHeld[row] === side),
  );
  const truth = {
    bank: notes.bank.map((n) => n.flat()),
    queries: notes.queries.map((n) => n.flat()),
  };
  const predicted = noGrad(() =>
    tidy(() => {
      const [from, to] = [matrixOf(bank, device), matrixOf(queries, device)];
      const targets = fromBuffer(Float64Array.from(truth.bank.flat()), [
        truth.bank.length,
        truth.bank[0]!.length,
      ]).to({ device });
      const take = (rows: readonly number[], of: Tensor): Tensor =>
        of.indexSelect(
          0,
          fromBuffer(BigInt64Array.from(rows, BigInt), [rows.length]).to({ device }),
        );
      const trials = new Ridge(take(kept!, from), take(kept!, targets));
      const wanted = take(chosenOn!, targets);
      const errors = penalties.map((penalty) => {
        alive?.();
        const guess = trials.solve(penalty)(take(chosenOn!, from));
        // Each number counts by how far it varies, or areas would drown light.
        return guess.sub(wanted).pow(2).mean([0]).div(trials.variance).sum().item();
      });
      const best = penalties[errors.indexOf(Math.min(...errors))]!;
      return new Ridge(from, targets).solve(best)(to).toNumbers();
    }),
  );
  const images = imageNames(queries.items);
  const columns = truth.bank[0]!.length;
  const means = Array.from(
    { length: columns },
    (_, c) => sum(truth.bank.map((row) => row[c]!)) / truth.bank.length,
  );
  let from = 0;
  for (const [index, name] of attributeNames.entries()) {
    const own = notes.bank[0]![index]!.map((_, c) => from + c);
    from += own.length;
    const squares = (guess: (row: number, column: number) => number): Float64Array =>
      Float64Array.from(truth.queries, (object, row) =>
        sum(own.map((column) => (guess(row, column) - object[column]!) ** 2)),
      );
    const errors = squares((row, column) => predicted[row * columns + column]!);
    const deviations = squares((_, column) => means[column]!);
    if (sum(deviations) > 0)
      yield [`attributes/${name}`, { kind: "fit", images, errors, deviations }];
  }
}

/**
 * Ridge regression with standardised features, in float64. With fewer objects than columns it is
 * solved by its dual, which is as large as there are objects and has the same solution.
 */
class Ridge {
  private readonly mean: Tensor;
  private readonly deviation: Tensor;
  private readonly center: Tensor;
  /** [n, w], standardised */
  private readonly x: Tensor;
  private readonly gram: Tensor;
  private readonly right: Tensor;
  private readonly dual: boolean;
  /** of the targets, [k] */
  readonly variance: Tensor;

  /** @param features [n, w] @param targets [n, k] */
  constructor(features: Tensor, targets: Tensor) {
    const [n, w] = features.dims(2);
    this.dual = n < w;
    this.mean = features.mean([0]);
    this.deviation = features.sub(this.mean).pow(2).mean([0]).sqrt().clampMin(1e-12);
    this.center = targets.mean([0]);
    this.x = this.standardised(features);
    const y = targets.sub(this.center);
    this.variance = y.pow(2).mean([0]).clampMin(1e-12);
    const across = this.x.transpose(0, 1);
    this.gram = (this.dual ? this.x.matmul(across) : across.matmul(this.x)).div(n);
    this.right = (this.dual ? y : across.matmul(y)).div(n);
  }

  private standardised(features: Tensor): Tensor {
    return features.sub(this.mean).div(this.deviation);
  }

  /** The map [m, w] -> [m, k] for a strength. */
  solve(penalty: number): (features: Tensor) => Tensor {
    const { dtype, device } = this.gram;
    const ridge = eye(this.gram.dims(2)[0], { dtype, device }).mul(penalty);
    const solved = this.gram.add(ridge).solve(this.right);
    const weight = this.dual ? this.x.transpose(0, 1).matmul(solved) : solved;
    return (features) => this.standardised(features).matmul(weight).add(this.center);
  }
}

function matrixOf({ features, width }: FeatureSet, device: string): Tensor {
  return fromBuffer(features, [features.length / width, width])
    .to({ dtype: "float64" })
    .to({ device });
}

/** Column and row of the mask's centre, as shares of the sides. */
function centre(inside: Uint8Array): readonly number[] {
  const side = Math.sqrt(inside.length);
  let [x, y, n] = [0, 0, 0];
  for (const [at, bit] of inside.entries()) {
    if (!bit) continue;
    x += at % side;
    y += Math.floor(at / side);
    n += 1;
  }
  return [x / n / side, y / n / side];
}

function logAspect(inside: Uint8Array): number {
  const side = Math.sqrt(inside.length);
  const used = [...inside.keys()].filter((at) => inside[at]);
  const extent = (values: readonly number[]): number => new Set(values).size;
  return Math.log(
    extent(used.map((at) => at % side)) / extent(used.map((at) => Math.floor(at / side))),
  );
}

/** Mean of all channels where the mask is `side`, 0..1; 0 where nothing is. */
function meanLight(pixels: Uint8Array, inside: Uint8Array, side: 0 | 1): number {
  const area = inside.length;
  let [total, n] = [0, 0];
  for (let at = 0; at < area; at += 1) {
    if (inside[at] !== side) continue;
    total += pixels[at]! + pixels[area + at]! + pixels[2 * area + at]!;
    n += 3;
  }
  return total / Math.max(1, n) / 255;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
