import { setImmediate } from "node:timers/promises";
import { fromBuffer, Generator, noGrad, type Tensor, tidy, zeros } from "@odis/torch";
import { z } from "zod";
import { DataError, Rng } from "../core/index.js";
import type { FeatureKind, InferenceMode } from "../features/index.js";
import { World } from "../train/index.js";
import type { EvaluationOptions } from "./options.js";
import { joined, type Share } from "./shares.js";

/** Feature vectors with what they are. */
export interface Samples {
  /** [n, width], row-major */
  readonly features: Float32Array;
  readonly width: number;
  /** [n, classes]; each row is a distribution: one class, or the shares of several */
  readonly targets: Float32Array;
  readonly classes: number;
  /** which of all processes' rows these are; default: all are here */
  readonly share?: Share;
}

/** Neighbouring columns of the features: what one probe reads. */
export interface Columns {
  readonly from: number;
  readonly width: number;
}

/** A feature that linear classifiers are tried on: the summaries of the last blocks, side by side. */
export interface ProbedFeature extends Columns {
  /** how many blocks; 0 where there are none */
  readonly blocks: number;
  /** whether the mean of patch tokens stands beside them */
  readonly average: boolean;
}

/** The probe that was best on validation images. */
export interface ChosenProbe {
  /** of the measurements that it made, without `/top1` */
  readonly name: string;
  readonly blocks: number;
  readonly average: boolean;
  /** for a batch of 256 */
  readonly learningRate: number;
  /** what it was chosen by, 0..1 */
  readonly validation: number;
}

/** Blocks whose summaries are tried together (DINOv2: 1 and 4). */
export const probedBlocks = 4;

/**
 * The features that DINOv2's grid tries, in rows as `NetworkFeatures` makes them: the last block
 * or the last four, without and with the mean of the last block's patch tokens. `pooled` summaries
 * are that mean already.
 */
export function probedFeatures(depth: number, dim: number, kind: FeatureKind): ProbedFeature[] {
  const all = Math.min(probedBlocks, depth);
  return [...new Set([1, all])].flatMap((blocks) =>
    (kind === "pooled" ? [false] : [false, true]).map((average) => ({
      from: (all - blocks) * dim,
      width: (blocks + Number(average)) * dim,
      blocks,
      average,
    })),
  );
}

/** The modes that linear classifiers are trained in: those that look at one framed image. */
export const probedModes: readonly InferenceMode[] = ["mask", "none", "isolated"];

/** How linear classifiers are trained on frozen features. */
export const probeSettings = {
  probe: z
    .strictObject({
      /** passes over the samples */
      epochs: z.int().min(1).default(100),
      /** samples in a step, at most as many as there are */
      batch: z.int().min(1).default(256),
      /**
       * each for a batch of 256, scaled linearly with the batch; all are tried. 1, 2, 5 in five
       * decades: DINOv2's sweep, extended as the lineage does
       */
      learningRates: z
        .array(z.number().positive())
        .min(1)
        .default(
          [1e-5, 1e-4, 1e-3, 1e-2, 1e-1].flatMap((decade) =>
            [1, 2, 5].map((times) => times * decade),
          ),
        )
        .readonly(),
    })
    .readonly()
    .prefault({}),
};
export type ProbeSettings = z.output<typeof probeSettings.probe>;

/** For every suite that trains probes. */
export const probeOptions: EvaluationOptions = {
  epochs: {
    help: "passes over the features in which linear classifiers are trained",
    type: { kind: "number", whole: true, min: 1 },
    path: "probe.epochs",
  },
};

const momentum = 0.9;

/**
 * Linear classifiers, one for each choice of columns and each learning rate L. Of several processes each trains
 * those of its learning rates, on whole batches, and `meet` gives all of them to every one. Dispose of them.
 */
export class Probes implements Disposable {
  /** [L * classes, columns] each */
  private readonly weights: readonly Tensor[];
  /** [L * classes] each */
  private readonly biases: readonly Tensor[];
  /** of the weights and the biases that this process trains */
  private readonly velocities: readonly Tensor[];

  /** Weights from N(0, .01), the same for every learning rate; zero biases. */
  constructor(
    readonly columns: readonly Columns[],
    readonly learningRates: readonly number[],
    readonly classes: number,
    seed: number,
    private readonly device: string,
    private readonly world: World = World.alone,
  ) {
    const generator = new Generator(seed);
    const rates = learningRates.length;
    this.weights = columns.map(({ width }) =>
      tidy(() =>
        zeros([classes, width]).normal_(0, 0.01, generator).repeat([rates, 1]).to({ device }),
      ),
    );
    this.biases = columns.map(() => zeros([rates * classes], { device }));
    this.velocities = tidy(() =>
      this.rowsOf(world.rank).map(({ shape }) => zeros(shape, { device })),
    );
  }

  /** Which rows of the weights a process trains: those of its learning rates. */
  rowsTrainedBy(rank: number): { readonly first: number; readonly count: number } {
    const upTo = (to: number): number =>
      Math.floor((to * this.learningRates.length) / this.world.size) * this.classes;
    return { first: upTo(rank), count: upTo(rank + 1) - upTo(rank) };
  }

  /** What a process trains, in place: weights, then biases. */
  private rowsOf(rank: number): Tensor[] {
    const { first, count } = this.rowsTrainedBy(rank);
    return [...this.weights, ...this.biases].map((all) => all.narrow(0, first, count));
  }

  /**
   * One step of SGD with momentum for every probe that this process trains. The gradient of the mean
   * cross-entropy is written out: softmax minus target, times the features.
   *
   * @param features [b, width]
   * @param targets [b, classes]
   * @param rates [rows trained here, 1]: each row's learning rate of this step
   */
  step(features: Tensor, targets: Tensor, rates: Tensor): void {
    const [b] = features.dims(2);
    const trained = this.rowsOf(this.world.rank);
    const each = this.columns.length;
    const gradients = this.columns.map(({ from, width }, at) => {
      const seen = features.narrow(1, from, width);
      const error = affine(seen, trained[at]!, trained[each + at]!)
        .reshape([b, -1, this.classes])
        .softmax(-1)
        .sub_(targets.unsqueeze(1))
        .div_(b)
        .flatten(1); // [b, rows]
      return [error.transpose(0, 1).matmul(seen), error.sum(0)] as const;
    });
    for (const [at, weight] of trained.entries()) {
      const velocity = this.velocities[at]!;
      velocity.mul_(momentum).add_(gradients[at % each]![at < each ? 0 : 1]);
      weight.addcmul_(velocity, velocity.shape.length === 1 ? rates.squeeze(1) : rates, -1);
    }
  }

  /** Gives every process the probes that each has trained. */
  meet(): void {
    for (let rank = 0; rank < this.world.size; rank += 1)
      if (this.rowsTrainedBy(rank).count > 0)
        tidy(() => this.world.broadcast(this.rowsOf(rank), rank));
  }

  /**
   * @param at which columns
   * @param features [n, width], all columns
   * @returns [n, L, classes]
   */
  logits(at: number, features: Tensor): Tensor {
    const { from, width } = this.columns[at]!;
    const [n] = features.dims(2);
    return affine(features.narrow(1, from, width), this.weights[at]!, this.biases[at]!).reshape([
      n,
      this.learningRates.length,
      this.classes,
    ]);
  }

  /** One probe's logits: [n, classes] */
  logitsOf({ at, rate }: ProbeChoice, features: Tensor): Tensor {
    const { from, width } = this.columns[at]!;
    const begin = rate * this.classes;
    return affine(
      features.narrow(1, from, width),
      this.weights[at]!.narrow(0, begin, this.classes),
      this.biases[at]!.narrow(0, begin, this.classes),
    );
  }

  /** [n, width] on the probes' device */
  upload({ features, width }: Pick<Samples, "features" | "width">): Tensor {
    return fromBuffer(features, [features.length / width, width], { device: this.device });
  }

  [Symbol.dispose](): void {
    for (const tensor of [...this.weights, ...this.biases, ...this.velocities]) tensor.free();
  }
}

/** [n, width] by [rows, width] and [rows] -> [n, rows] */
const affine = (x: Tensor, weight: Tensor, bias: Tensor): Tensor =>
  x.matmul(weight.transpose(0, 1)).add_(bias);

/** One of the probes, and how it did where it was chosen. */
export interface ProbeChoice {
  /** index of its columns */
  readonly at: number;
  /** index of its learning rate */
  readonly rate: number;
  /** by the measure that it was chosen by, 0..1 */
  readonly score: number;
}

/**
 * Trains all probes together on frozen features: SGD with momentum .9, no weight decay, cosine to 0
 * in steps (the published linear protocol; but features are cached, so nothing is augmented). What
 * is left of an epoch after its last full batch is passed over; another part in each epoch.
 *
 * Of several processes each has some of the samples, and trains the probes of some learning rates: they send each other
 * the samples of a batch, which are thousands of times less than the gradients of all probes, and in the end the
 * probes. More processes than learning rates find nothing to do.
 *
 * @param seed decides initial weights and the order of samples
 */
export async function trainProbes(
  samples: Samples,
  columns: readonly Columns[],
  settings: ProbeSettings,
  {
    seed,
    device,
    signal,
    world = World.alone,
  }: {
    readonly seed: number;
    readonly device: string;
    readonly signal?: AbortSignal | undefined;
    readonly world?: World;
  },
): Promise<Probes> {
  const { classes } = samples;
  const n = samples.targets.length / classes;
  const { first, total } = samples.share ?? { first: 0, total: n };
  const batch = Math.min(settings.batch, total);
  const steps = Math.floor(total / batch);
  const probes = new Probes(columns, settings.learningRates, classes, seed, device, world);
  const trained = probes.rowsTrainedBy(world.rank);
  const features = probes.upload(samples);
  const targets = fromBuffer(samples.targets, [n, classes], { device });
  try {
    const peaks = settings.learningRates
      .flatMap((lr) => Array.from({ length: classes }, () => (lr * batch) / 256))
      .slice(trained.first, trained.first + trained.count);
    for (let epoch = 0; epoch < settings.epochs; epoch += 1) {
      signal?.throwIfAborted();
      const order = new Rng("probe", seed, epoch).permutation(total);
      noGrad(() =>
        tidy(() => {
          const peak = fromBuffer(Float32Array.from(peaks), [peaks.length, 1], { device });
          for (let step = 0; step < steps; step += 1)
            tidy(() => {
              const done = (epoch * steps + step) / (settings.epochs * steps);
              const rows = order.subarray(step * batch, (step + 1) * batch);
              const [seen, wanted] = everywhere([features, targets], rows, first, world);
              if (trained.count > 0)
                probes.step(seen!, wanted!, peak.mul(0.5 + 0.5 * Math.cos(Math.PI * done)));
            });
        }),
      );
      await setImmediate(); // lets a signal through
    }
    noGrad(() => probes.meet());
    return probes;
  } catch (error) {
    probes[Symbol.dispose]();
    throw error;
  } finally {
    features.free();
    targets.free();
  }
}

/**
 * Some rows of tables that every process has a part of, in all of them.
 *
 * @param parts [n, width] each: this process's rows, of which `first` is the first
 * @param rows [m] of all
 * @returns [m, width] each
 */
function everywhere(
  parts: readonly Tensor[],
  rows: Int32Array,
  first: number,
  world: World,
): Tensor[] {
  const [n] = parts[0]!.dims(2);
  const here = [...rows.keys()].filter((at) => rows[at]! >= first && rows[at]! < first + n);
  const indices = (numbers: readonly number[]): Tensor =>
    fromBuffer(BigInt64Array.from(numbers, BigInt), [numbers.length], { device: parts[0]!.device });
  const from = indices(here.map((at) => rows[at]! - first));
  if (world.size === 1) return parts.map((part) => part.indexSelect(0, from));
  const to = indices(here);
  const whole = parts.map((part) =>
    zeros([rows.length, part.dims(2)[1]], { device: part.device }).indexAdd(
      0,
      to,
      part.indexSelect(0, from),
    ),
  );
  world.sum(whole); // one process has a row, all others zeros
  return whole;
}

/** The share of the bank's images that probes are chosen on, and not trained on. */
const heldOutShare = 0.1;

/**
 * Pictures to choose probes on. Whole ones are held out, under all their names: what is in one picture
 * resembles each other.
 *
 * @param pictures those of the bank, each once
 * @throws DataError when there are less than two
 */
export function heldOutPictures(pictures: readonly number[], seed: number): ReadonlySet<number> {
  if (pictures.length < 2)
    throw new DataError(
      `evaluation: linear probes are chosen on images that they were not trained on, but the ` +
        `train data has ${pictures.length} image with a labelled object. Wanted 2 or more, or another ` +
        `suite.`,
    );
  const order = [...new Rng("validation", seed).permutation(pictures.length)];
  const held = order.slice(0, Math.max(1, Math.round(heldOutShare * pictures.length)));
  return new Set(held.map((at) => pictures[at]!));
}

/**
 * The best probe on samples that it was not trained on; of equally good ones the one with the
 * lower cross-entropy, and then the first. All processes choose the same.
 *
 * @param score of predicted classes [n] against the largest targets [n]
 */
export function chooseProbe(
  probes: Probes,
  validation: Samples,
  score: (predicted: Int32Array, truth: Int32Array) => number,
  world: World = World.alone,
): ProbeChoice {
  return noGrad(() =>
    tidy(() => {
      const features = probes.upload(validation);
      const [n] = features.dims(2);
      const targets = fromBuffer(validation.targets, [n, 1, probes.classes]).to({
        device: features.device,
      });
      const truth = joined(world, Int32Array.from(targets.argmax(-1).toNumbers()));
      const total = truth.length;
      const rates = probes.learningRates.length;
      let best: (ProbeChoice & { readonly loss: number }) | undefined;
      for (const at of probes.columns.keys()) {
        const logits = probes.logits(at, features);
        const sums = logits.logSoftmax(-1).mul(targets).sum(-1).sum(0);
        world.sum([sums]);
        const losses = sums.div(-total).toFloat32();
        const own = Int32Array.from(logits.argmax(-1).toNumbers()); // [n, L]
        const predicted = joined(world, own);
        for (const rate of probes.learningRates.keys()) {
          const answers = truth.map((_, row) => predicted[row * rates + rate]!);
          const found = { at, rate, score: score(answers, truth), loss: losses[rate]! };
          const better =
            !best ||
            found.score > best.score ||
            (found.score === best.score && found.loss < best.loss);
          if (better) best = found;
        }
      }
      const { at, rate, score: reached } = best!;
      return { at, rate, score: reached };
    }),
  );
}
