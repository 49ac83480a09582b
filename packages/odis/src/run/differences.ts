import { z } from "zod";
import { recipeSchema } from "../train/recipe.js";

/** A leaf that differs between two trees of JSON; undefined where one side lacks it. */
export interface Difference {
  /** dotted; empty when the trees themselves are leaves */
  readonly path: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** Leaves in which two JSON values differ, in the order of their keys. Lists are leaves. */
export function differences(left: unknown, right: unknown, path = ""): readonly Difference[] {
  if (isTree(left) && isTree(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...keys].flatMap((key) =>
      differences(left[key], right[key], path === "" ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(left) === JSON.stringify(right) ? [] : [{ path, left, right }];
}

const withRecipe = z.looseObject({ recipe: recipeSchema });

/**
 * Differences of a saved configuration from the one at hand. A setting that did not exist yet when it
 * was saved has its default: what the code did before it could be set.
 */
export function configDifferences(saved: unknown, here: unknown): readonly Difference[] {
  const whole = withRecipe.safeParse(saved);
  const plain: unknown = JSON.parse(JSON.stringify(here)); // as it would be read back
  return differences(whole.success ? whole.data : saved, plain);
}

/** `optim.lr is 0.0005 there and 0.001 here; seed is 0 there and 1 here; and 3 more` */
export function describeDifferences(found: readonly Difference[], shown = 3): string {
  const parts = found
    .slice(0, shown)
    .map(({ path, left, right }) => `${path} is ${show(left)} there and ${show(right)} here`);
  const rest = found.length - parts.length;
  return [...parts, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}

function show(value: unknown): string {
  return value === undefined ? "unset" : JSON.stringify(value);
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
