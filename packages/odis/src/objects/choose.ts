import type { Rng } from "../core/index.js";
import { overlapAbove, type SceneObject } from "./object.js";

/** `area`: with probability proportional to area; `uniform`: equal chances; `largest`: no chance. */
export type ChooseRule = "area" | "uniform" | "largest";

/**
 * Picks the object that a set of views is about (method: "choose the object").
 *
 * @param areas of the candidates, pixels
 * @param minArea candidates below it, and empty ones, are never picked
 * @param weights of the candidates, 0..1: chances (for `largest`, areas) are multiplied by them
 * @returns the index, or -1 when no candidate is large enough
 */
export function chooseObject(
  areas: readonly number[],
  rule: ChooseRule,
  minArea: number,
  rng: Rng,
  weights?: readonly number[],
): number {
  const eligible = areas.map((area, index) => {
    if (!(area > 0 && area >= minArea)) return 0;
    return (rule === "uniform" ? 1 : area) * (weights?.[index] ?? 1);
  });
  if (rule !== "largest") return rng.weighted(eligible);
  const largest = Math.max(0, ...eligible);
  return largest > 0 ? eligible.indexOf(largest) : -1;
}

/** What an object's chance is multiplied by. `score`: how sure its detector was; people are sure. */
export type WeighRule = "none" | "score";

interface Scored {
  readonly score?: number | undefined;
}

export function weightsBy(
  rule: WeighRule,
  objects: readonly Scored[],
): readonly number[] | undefined {
  return rule === "none" ? undefined : objects.map(({ score }) => score ?? 1);
}

/** How many objects a set of views is about, and which. */
export interface ChooseOptions {
  readonly choose: ChooseRule;
  readonly weigh: WeighRule;
  /** at most so many */
  readonly count: number;
  /** largest intersection over union that an object may have with one picked before, 0..1 */
  readonly overlap: number;
}

/**
 * Picks objects one after the other by the same rule, none twice. One that overlaps too much with
 * an earlier pick is passed over: two tokens would learn the same thing.
 *
 * @param minArea pixels, as for {@link chooseObject}
 * @returns indices in the order of picking; fewer than `count` when there are no more
 */
export function chooseObjects(
  objects: readonly (Pick<SceneObject, "area" | "box" | "pixels"> & Scored)[],
  { choose, weigh, count, overlap }: ChooseOptions,
  minArea: number,
  rng: Rng,
): number[] {
  const areas = objects.map(({ area }) => area);
  const weights = weightsBy(weigh, objects);
  const chosen: number[] = [];
  while (chosen.length < count) {
    const next = chooseObject(areas, choose, minArea, rng, weights);
    if (next < 0) break;
    areas[next] = 0;
    const clear = chosen.every((other) => !overlapAbove(objects[next]!, objects[other]!, overlap));
    if (clear) chosen.push(next);
  }
  return chosen;
}
