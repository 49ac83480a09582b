import { join } from "node:path";
import { readOwnText } from "../core/index.js";
import { readRunConfig, recipeOf, runLayout } from "../run/index.js";
import type { MetricsRow } from "../train/index.js";
import type { Recipe } from "../recipe/index.js";
import { readEvaluation, type RunEvaluation } from "../evaluate/index.js";

/** What a run folder tells without its data and its network. */
export interface RunContents {
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
export function readRun(folder: string): RunContents {
  const config = readRunConfig(folder);
  const layout = runLayout(folder);
  const skipped = jsonLines(layout.skipped, isSkipped);
  return {
    folder,
    config,
    recipe: recipeOf(config, join(folder, "config.json")),
    rows: jsonLines(layout.metrics, isRow),
    skipped: [...new Map(skipped.map((image) => [image.key, image])).values()],
    evaluation: readEvaluation(folder),
  };
}

/** The rows of a file of JSON lines; a running or killed run may leave half a line at its end. */
function jsonLines<Row>(path: string, isWhole: (value: unknown) => value is Row): Row[] {
  return (readOwnText(path) ?? "").split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return isWhole(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}

function isRow(value: unknown): value is MetricsRow {
  return isObject(value) && typeof value["step"] === "number" && Array.isArray(value["tries"]);
}

function isSkipped(value: unknown): value is SkippedImage {
  return isObject(value) && typeof value["key"] === "string";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Images a second of the middle row: half of them were faster. */
export function medianRate(rows: readonly MetricsRow[]): number {
  const sorted = rows.map(({ imagesPerSecond }) => imagesPerSecond).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/** `ViT 384 wide, 12 blocks, 6 heads, patch 16` */
export function networkText({ model: { dim, depth, heads, patch } }: Recipe): string {
  return `ViT ${dim} wide, ${depth} blocks, ${heads} heads, patch ${patch}`;
}

/** `2 × 224 px + 10 × 96 px` */
export function viewsText({ views: { globals, locals } }: Recipe): string {
  const local = locals.count === 0 ? "" : ` + ${locals.count} × ${locals.size} px`;
  return `${globals.count} × ${globals.size} px${local}`;
}
