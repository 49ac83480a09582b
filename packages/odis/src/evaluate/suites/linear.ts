import { noGrad, tidy } from "@odis/torch";
import { type FeatureKind, type FeatureSet, pick } from "../../features/index.js";
import { classesAhead } from "./knn.js";
import type { Measured } from "../outcome.js";
import {
  chooseProbe,
  type Columns,
  heldOutImages,
  type ProbeSettings,
  type Samples,
  trainProbes,
} from "./probe.js";

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

/**
 * Linear classification of objects by frozen features: every feature with every learning rate is
 * trained on nine tenths of the bank's images, the one that is best on the other tenth is tested.
 * The published protocol augments its training images and chooses by the test set; this one does
 * neither.
 *
 * @returns `linear/top1`, `linear/top5`
 * @throws DataError when the bank has less than two images
 */
export async function linearShares(
  bank: FeatureSet,
  queries: FeatureSet,
  features: readonly ProbedFeature[],
  options: {
    readonly classes: number;
    readonly settings: ProbeSettings;
    readonly seed: number;
    readonly device: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ readonly measured: readonly Measured[]; readonly probe: Omit<ChosenProbe, "name"> }> {
  const { classes, settings, seed, device, signal } = options;
  const held = heldOutImages([...new Set(bank.items.map(({ image }) => image))], seed);
  const part = (isHeld: boolean): Samples => {
    const rows = [...bank.items.keys()];
    const mine = rows.filter((row) => held.has(bank.items[row]!.image) === isHeld);
    return samplesOf(pick(bank, mine), classes);
  };
  const training = part(false);
  using probes = await trainProbes(training, features, settings, { seed, device, signal });
  const choice = chooseProbe(probes, part(true), accuracy);
  const scores = noGrad(() =>
    tidy(() => probes.logitsOf(choice, probes.upload(queries)).toFloat32()),
  );
  const ahead = Array.from(queries.labels, (label, row) =>
    classesAhead(scores.subarray(row * classes, (row + 1) * classes), label),
  );
  const images = queries.items.map(({ key }) => key);
  const hits = (top: number): Uint8Array => Uint8Array.from(ahead, (n) => Number(n < top));
  const { blocks, average } = features[choice.at]!;
  return {
    measured: [
      ["linear/top1", { kind: "share", hits: hits(1), images }],
      ["linear/top5", { kind: "share", hits: hits(5), images }],
    ],
    probe: {
      blocks,
      average,
      learningRate: settings.learningRates[choice.rate]!,
      validation: choice.score,
    },
  };
}

function samplesOf({ features, width, labels }: FeatureSet, classes: number): Samples {
  const targets = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) targets[row * classes + label] = 1;
  return { features, width, targets, classes };
}

function accuracy(predicted: Int32Array, truth: Int32Array): number {
  return (
    predicted.reduce((hits, label, row) => hits + Number(label === truth[row]), 0) / truth.length
  );
}
