import { CollapseWatch } from "../train/collapse.js";
import type { MetricsRow } from "../train/loop.js";
import type { Recipe } from "../train/recipe.js";

/**
 * How a run has collapsed by its end, in the words of its log; undefined when it has not, or has
 * recovered.
 *
 * @param rows of the whole run so far
 */
export function collapseOf(rows: readonly MetricsRow[], recipe: Recipe): string | undefined {
  const watch = new CollapseWatch(recipe.head.prototypes, recipe.optim.steps ?? rows.length);
  const said = rows.map((row) => watch.observe(row)).findLast((sentence) => sentence !== undefined);
  return said?.startsWith("collapse: ") ? said : undefined;
}
