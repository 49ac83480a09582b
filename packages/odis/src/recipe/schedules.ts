import { ConfigError } from "../core/index.js";
import type { Recipe } from "./schema.js";

/**
 * The schedules of DINO and iBOT as pure functions of the step or epoch (float64 throughout).
 * Values equal the published `utils.cosine_scheduler` arrays, element by element.
 */

/** A cosine fall after a linear rise. */
export interface CosineSchedule {
  /** value at the end of the rise */
  readonly base: number;
  /** value that the cosine approaches (it is reached only after the last step) */
  readonly final: number;
  /** steps of linear rise; the rise includes both of its ends */
  readonly warmupSteps?: number;
  /** value at step 0 when there is a rise, default 0 */
  readonly start?: number;
}

/** `numpy.linspace(start, end, count)[index]`: both ends included, one point is the start. */
function linspace(start: number, end: number, count: number, index: number): number {
  if (count === 1 || index === 0) return start;
  if (index === count - 1) return end;
  return start + (index * (end - start)) / (count - 1);
}

/** Value at `step` of `totalSteps` (both counted from 0). */
export function cosineAt(
  { base, final, warmupSteps = 0, start = 0 }: CosineSchedule,
  step: number,
  totalSteps: number,
): number {
  if (step < warmupSteps) return linspace(start, base, warmupSteps, step);
  const length = totalSteps - warmupSteps;
  const progress = (step - warmupSteps) / length;
  return final + 0.5 * (base - final) * (1 + Math.cos(Math.PI * progress));
}

/** Teacher temperature: linear from `start` to `end` over `warmup` units, then `end`. */
export function temperatureAt(
  { start, end, warmup }: { start: number; end: number; warmup: number },
  time: number,
): number {
  return time < warmup ? linspace(start, end, warmup, time) : end;
}

/** How long a run is, in steps. */
export interface Length {
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/** What schedules say of one step. */
export interface ScheduleValues {
  readonly step: number;
  readonly epoch: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly teacherMomentum: number;
  /** the teacher's: of [CLS], of [OBJ], of patches */
  readonly teacherTemperature: number;
  readonly objectTemperature: number;
  readonly patchTemperature: number;
  /** whether patches are hidden from the student in this step */
  readonly hidePatches: boolean;
  /** whether the prototypes' gradients are dropped in this step */
  readonly freezeLastLayer: boolean;
}

/**
 * Steps of a run over `images` images; the last incomplete batch of an epoch is dropped.
 *
 * @throws ConfigError when that is less than one step
 */
export function runLength({ optim }: Pick<Recipe, "optim">, images: number): Length {
  const { batch, epochs, steps } = optim;
  const stepsPerEpoch = Math.max(1, Math.floor(images / batch));
  const totalSteps = steps ?? Math.round(epochs * stepsPerEpoch);
  if (totalSteps < 1)
    throw new ConfigError(
      `optim.epochs: got ${epochs}, which is not one step of ${batch} images out of ${images}; ` +
        `wanted at least ${1 / stepsPerEpoch}`,
    );
  return { stepsPerEpoch, totalSteps };
}

/** The schedules' values at a step, counted from 0 (iBOT `main_ibot.py`, `utils.py`). */
export function scheduleValuesAt(
  { optim, loss, teacher }: Pick<Recipe, "optim" | "loss" | "teacher">,
  { stepsPerEpoch, totalSteps }: Length,
  step: number,
): ScheduleValues {
  const epoch = Math.floor(step / stepsPerEpoch);
  const warmupSteps = Math.min(totalSteps, Math.round(optim.warmupEpochs * stepsPerEpoch));
  const batches = optim.batch / optim.lrBatch;
  const base = optim.lr * (optim.lrScaling === "linear" ? batches : Math.sqrt(batches));
  const lr = { base, final: optim.minLr, warmupSteps };
  const decay = { base: optim.weightDecay.start, final: optim.weightDecay.end };
  const momentum = { base: teacher.momentum.start, final: teacher.momentum.end };
  const temperature = (of: Recipe["loss"]["teacherTemperature"], from = 0): number =>
    temperatureAt(
      { start: of.start, end: of.end, warmup: of.warmupEpochs },
      Math.max(0, epoch - from),
    );
  return {
    step,
    epoch,
    lr: cosineAt(lr, step, totalSteps),
    weightDecay: cosineAt(decay, step, totalSteps),
    teacherMomentum: cosineAt(momentum, step, totalSteps),
    teacherTemperature: temperature(loss.teacherTemperature),
    objectTemperature: temperature(loss.objectTemperature ?? loss.teacherTemperature),
    patchTemperature: temperature(loss.patchTemperature, loss.patchFromEpoch),
    hidePatches: epoch >= loss.patchFromEpoch,
    freezeLastLayer: epoch < optim.freezeLastLayerEpochs,
  };
}
