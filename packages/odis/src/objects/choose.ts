import type { Rng } from "../rng.js";

/** `area`: with probability proportional to area; `uniform`: equal chances; `largest`: no chance. */
export type ChooseRule = "area" | "uniform" | "largest";

/**
 * Picks the object that a set of views is about (method: "choose the object").
 *
 * @param areas of the candidates, pixels
 * @param minArea candidates below it, and empty ones, are never picked
 * @returns the index, or -1 when no candidate is large enough
 */
export function chooseObject(
  areas: readonly number[],
  rule: ChooseRule,
  minArea: number,
  rng: Rng,
): number {
  const eligible = areas.map((area) => (area > 0 && area >= minArea ? area : 0));
  if (rule === "area") return rng.weighted(eligible);
  if (rule === "uniform") return rng.weighted(eligible.map((area) => (area > 0 ? 1 : 0)));
  const largest = Math.max(0, ...eligible);
  return largest > 0 ? eligible.indexOf(largest) : -1;
}
