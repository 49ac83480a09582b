import { noGrad, tidy } from "@odis/torch";
import { ConfigError } from "../../core/index.js";
import { modeRules, type InferenceMode } from "../../features/index.js";
import { imageNames, type Measured } from "../outcome.js";
import {
  type ChosenProbe,
  chooseProbe,
  heldOutPictures,
  type ProbedFeature,
  probedModes,
  probeOptions,
  type ProbeSettings,
  probeSettings,
  type Samples,
  trainProbes,
} from "../probe.js";
import { joined, pickShared, type SharedSet, type Sharing } from "../shares.js";
import { type CommonSettings, type Finding, nameOf, type ReadJob, suite } from "../suite.js";
import { classesAhead } from "../votes.js";

/** Linear classifiers of objects, for the modes that look at one framed image. */
export const linear = suite({
  name: "linear",
  summary: "linear classifiers",
  settings: probeSettings,
  options: probeOptions,
  modes: probed,
  needs: (settings) => ({ modes: trainedModes(settings), wide: true }),
  measure,
  describe: ({ settings }) => ({
    meaning:
      "Linear: a linear classifier is trained on the bank’s features; feature and learning rate are those that did best on a tenth of the bank’s images, which it was not trained on.",
    tables: [
      {
        title: "linear top-1, per cent",
        short: "linear probe",
        classes: true,
        says: `it recognises an object ${modeRules[trainedModes(settings)[0]!].shown}, by a linear classifier on its features`,
        figures: trainedModes(settings).map((mode) => ({
          key: `linear-${mode}`,
          title: modeRules[mode].name,
          measure: `object/${mode}/linear/top1`,
          mode,
        })),
      },
    ],
  }),
});

/** Those that classifiers are trained in. */
function probed(modes: readonly InferenceMode[]): readonly InferenceMode[] {
  return modes.filter((mode) => probedModes.includes(mode));
}

function trainedModes({ modes }: Pick<CommonSettings, "modes">): readonly InferenceMode[] {
  const trained = probed(modes);
  if (trained.length > 0) return trained;
  throw new ConfigError(
    `evaluation: suite linear trains in the modes ${probedModes.join(", ")}; got only ` +
      `${modes.join(", ")}. Add one of them, or leave the suite out.`,
  );
}

async function* measure({
  representations,
  settings,
  bank,
  queries,
  ...job
}: ReadJob<{ readonly probe: ProbeSettings }>): AsyncIterable<Finding> {
  const options = {
    ...job,
    classes: job.classes.length,
    settings: settings.probe,
    seed: settings.seed,
  };
  for (const { name, probed } of representations)
    for (const mode of trainedModes(settings)) {
      const [from, of] = [bank, queries].map((data) => data.columns(name, mode));
      const { measured, probe } = await linearShares(from!, of!, probed, options);
      for (const [measure, outcome] of measured)
        yield { name: nameOf(name, `object/${mode}/${measure}`), outcome };
      yield { probe: { name: nameOf(name, `object/${mode}/linear`), ...probe } };
    }
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
  bank: SharedSet,
  queries: SharedSet,
  features: readonly ProbedFeature[],
  options: Sharing & {
    readonly classes: number;
    readonly settings: ProbeSettings;
    readonly seed: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ readonly measured: readonly Measured[]; readonly probe: Omit<ChosenProbe, "name"> }> {
  const { classes, settings, seed, world } = options;
  const pictures = [...new Set(bank.items.map(({ picture }) => picture))];
  const held = world.agree(() => heldOutPictures(pictures, seed));
  const part = (isHeld: boolean): Samples => {
    const rows = [...bank.items.keys()];
    const some = rows.filter((row) => held.has(bank.items[row]!.picture) === isHeld);
    return samplesOf(pickShared(bank, some), classes);
  };
  const training = part(false);
  using probes = await trainProbes(training, features, settings, options);
  const choice = chooseProbe(probes, part(true), accuracy, world);
  const scores = noGrad(() =>
    tidy(() => probes.logitsOf(choice, probes.upload(queries.own)).toFloat32()),
  );
  const ahead = Array.from(queries.own.labels, (label, row) =>
    classesAhead(scores.subarray(row * classes, (row + 1) * classes), label),
  );
  const images = imageNames(queries.items);
  const hits = (top: number): Uint8Array =>
    joined(
      world,
      Uint8Array.from(ahead, (n) => Number(n < top)),
    );
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

function samplesOf(set: SharedSet, classes: number): Samples {
  const { features, width, labels } = set.own;
  const targets = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) targets[row * classes + label] = 1;
  const share = { first: set.first, total: set.labels.length };
  return { features, width, targets, classes, share };
}

function accuracy(predicted: Int32Array, truth: Int32Array): number {
  return (
    predicted.reduce((hits, label, row) => hits + Number(label === truth[row]), 0) / truth.length
  );
}
