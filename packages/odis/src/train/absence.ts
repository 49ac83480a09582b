import { objectAdvice } from "../data/index.js";
import type { MetricsRow } from "./loop.js";

/** Steps without any object before it is said. */
const STEPS = 10;

/**
 * Watches a run that learns from objects for one that never meets any: of some data, such as modules,
 * nobody knows before reading.
 */
export class AbsenceWatch {
  private readonly first: number;
  private left: number;

  /**
   * @param isWanted whether the recipe needs objects
   * @param totalSteps of the run, which may be fewer than are watched
   */
  constructor(isWanted: boolean, totalSteps: number) {
    this.first = Math.min(STEPS, totalSteps);
    this.left = isWanted ? this.first : 0;
  }

  /**
   * @param row of a step; `absent` is the share of views without an object, 0..1
   * @returns a sentence, once, when no view of the first steps that this sees has shown an object
   */
  observe({ step, absent }: Pick<MetricsRow, "step" | "absent">): string | undefined {
    if (this.left === 0) return undefined;
    this.left = absent < 1 ? 0 : this.left - 1;
    if (absent < 1 || this.left > 0) return undefined;
    return (
      `step ${step + 1}: no view of the last ${this.first} steps has shown an object, so nothing is learned from ` +
      `objects. ${objectAdvice}`
    );
  }
}
