import type { Recipe } from "./recipe.js";
import { cosineAt, temperatureAt } from "./schedules.js";

/** How long a run is, in steps. */
export interface Length {
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/** Everything about one step that a schedule decides. */
export interface Knobs {
  readonly step: number;
  readonly epoch: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly teacherMomentum: number;
  /** of [CLS] and [OBJ] */
  readonly teacherTemperature: number;
  readonly patchTemperature: number;
  /** whether the prototypes' gradients are dropped in this step */
  readonly freezeLastLayer: boolean;
}

/** Steps of a run over `images` images; the last incomplete batch of an epoch is dropped. */
export function runLength({ optim }: Pick<Recipe, "optim">, images: number): Length {
  const stepsPerEpoch = Math.max(1, Math.floor(images / optim.batch));
  return { stepsPerEpoch, totalSteps: optim.steps ?? Math.round(optim.epochs * stepsPerEpoch) };
}

/** The schedules' values at a step (counted from 0), as published: facts in `schedules.ts`. */
export function knobsAt(
  { optim, loss, teacher }: Pick<Recipe, "optim" | "loss" | "teacher">,
  { stepsPerEpoch, totalSteps }: Length,
  step: number,
): Knobs {
  const epoch = Math.floor(step / stepsPerEpoch);
  const warmupSteps = Math.min(totalSteps, Math.round(optim.warmupEpochs * stepsPerEpoch));
  const batches = optim.batch / optim.lrBatch;
  const base = optim.lr * (optim.lrScaling === "linear" ? batches : Math.sqrt(batches));
  const lr = { base, final: optim.minLr, warmupSteps };
  const decay = { base: optim.weightDecay.start, final: optim.weightDecay.end };
  const momentum = { base: teacher.momentum.start, final: teacher.momentum.end };
  const temperature = (of: Recipe["loss"]["teacherTemperature"]): number =>
    temperatureAt({ start: of.start, end: of.end, warmup: of.warmupEpochs }, epoch);
  return {
    step,
    epoch,
    lr: cosineAt(lr, step, totalSteps),
    weightDecay: cosineAt(decay, step, totalSteps),
    teacherMomentum: cosineAt(momentum, step, totalSteps),
    teacherTemperature: temperature(loss.teacherTemperature),
    patchTemperature: temperature(loss.patchTemperature),
    freezeLastLayer: epoch < optim.freezeLastLayerEpochs,
  };
}
