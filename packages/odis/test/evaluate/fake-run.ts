import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DataSpec } from "../../src/data/dataset.js";
import type { MetricsRow } from "../../src/train/loop.js";
import type { Recipe } from "../../src/recipe/schema.js";

/** A run folder with a configuration and nothing else. */
export function emptyRun(folder: string, recipe: Recipe, data: DataSpec): string {
  mkdirSync(join(folder, "checkpoints"), { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ recipe, data }));
  return folder;
}

/** Rows as a run writes them, with curves of a believable shape. */
export function metricsRows(steps: number, recipe: Recipe): MetricsRow[] {
  const uniform = Math.log(recipe.head.prototypes);
  return Array.from({ length: steps }, (_, step) => {
    const done = step / steps;
    const wave = Math.sin(step * 12.9898) * 0.06;
    const object = uniform * (1 - 0.55 * done ** 0.7) + wave;
    const patch = uniform * (1 - 0.4 * done) - wave;
    return {
      step,
      epoch: Math.floor(step / 50),
      time: (step + 1) * 0.41,
      imagesPerSecond: 155 + 30 * Math.sin(step * 78.233),
      dataWait: 0.03 + Math.abs(wave) / 2,
      loss: object + patch,
      cls: 0,
      object,
      patch,
      koleo: 0,
      teacherEntropy: uniform * (1 - 0.7 * done),
      marginalEntropy: uniform * (1 - 0.1 * done),
      kl: 0.1 + 0.4 * done,
      similarityImages: 0.9 - 0.5 * done,
      similarityViews: 0.95 - 0.2 * done,
      similarityObjects: undefined,
      gradNorm: 1.4 - done + wave,
      lr: 1e-3 * Math.min(1, step / (0.1 * steps)) * (0.5 + 0.5 * Math.cos(Math.PI * done)),
      weightDecay: 0.04 + 0.36 * done,
      teacherMomentum: 0.99 + 0.01 * done,
      teacherTemperature: 0.04,
      patchTemperature: 0.04,
      absent: 0.01 + Math.abs(wave) / 6,
      tries: [1.4 + wave, 1.5 - wave],
    };
  });
}

export function writeJsonLines(path: string, rows: readonly object[]): void {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}
