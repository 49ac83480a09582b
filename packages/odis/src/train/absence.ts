import type { MetricsRow } from "./loop.js";

/** Steps without any object before it is said. */
const STEPS = 10;

/**
 * Watches a run that learns from objects for one that never meets any: of some data, such as modules,
 * nobody knows before reading.
 */
export class AbsenceWatch {
  private left: number;

  /** @param isWanted whether the recipe learns from objects */
  constructor(isWanted: boolean, totalSteps: number) {
    this.left = isWanted ? Math.min(STEPS, totalSteps) : 0;
  }

  /** @returns a sentence, once, when no view of the first steps has shown an object */
  observe({ step, absent }: Pick<MetricsRow, "step" | "absent">): string | undefined {
    if (this.left === 0) return undefined;
    this.left = absent < 1 ? 0 : this.left - 1;
    if (absent < 1 || this.left > 0) return undefined;
    return (
      `step ${step + 1}: no view has shown an object yet, so nothing is learned from objects. Give data with ` +
      `objects, let each picture without one be one as a whole (PLACE#whole), or train without them: --recipe ibot`
    );
  }
}
