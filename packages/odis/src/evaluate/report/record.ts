import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readRunConfig, runLayout } from "../../run/folder.js";
import type { MetricsRow } from "../../train/loop.js";
import type { Recipe } from "../../train/recipe.js";
import { recipeOf } from "../load.js";
import { readEvaluation, type RunEvaluation } from "../run.js";

/** What a run folder tells without its data and its network. */
export interface RunRecord {
  readonly folder: string;
  /** the resolved configuration as it lies there */
  readonly config: unknown;
  readonly recipe: Recipe;
  readonly rows: readonly MetricsRow[];
  /** images that could not be used in training, each once */
  readonly skipped: readonly SkippedImage[];
  readonly evaluation: RunEvaluation | undefined;
}

export interface SkippedImage {
  readonly key: string;
  readonly reason: string;
}

/**
 * Reads a run folder; metrics and evaluation may be missing.
 *
 * @throws RunError when it is no run folder, or its evaluation is damaged
 */
export function readRun(folder: string): RunRecord {
  const config = readRunConfig(folder);
  const layout = runLayout(folder);
  const skipped = jsonLines<SkippedImage>(layout.skipped);
  return {
    folder,
    config,
    recipe: recipeOf(config, join(folder, "config.json")),
    rows: jsonLines<MetricsRow>(layout.metrics),
    skipped: [...new Map(skipped.map((image) => [image.key, image])).values()],
    evaluation: readEvaluation(folder),
  };
}

/** The rows of a file of JSON lines; a running or killed run may leave half a line at its end. */
function jsonLines<Row>(path: string): Row[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as Row];
    } catch {
      return [];
    }
  });
}
