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
