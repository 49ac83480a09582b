import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PlanInput, checkPlan, type Plan } from "../../src/compare/plan.js";
import { type StageRecord, writeRecord } from "../../src/compare/record.js";
import { type PlannedRun, planRuns } from "../../src/compare/runs.js";
import { parseDataSpec } from "../../src/data/dataset.js";
import type { Outcome } from "../../src/evaluate/outcome.js";
import { writeOutcomes } from "../../src/evaluate/outcome.js";
import { Rng } from "../../src/core/rng.js";
import { emptyRun, metricsRows, writeJsonLines } from "../evaluate/fake-run.js";

/** What a fake run's features are worth: chance of a hit by the name of the measurement. */
export type Worth = Readonly<Record<string, number>>;

const nothing = { skipped: [], lost: 0, unlabelled: 0, small: 0 };
const settings = {
  modes: ["none", "mask"],
  feature: "token",
  baselines: true,
  size: 80,
  frame: "whole",
  k: [20],
};

const testImages = Array.from({ length: 40 }, (_, i) => `picture ${i % 20}.png`);

/** The plan and its runs, with nothing on the disk yet. */
export function fakePlan(values: PlanInput, out: string) {
  const plan: Plan = checkPlan({ source: "test", values });
  return { plan, runs: planRuns(plan, out) };
}

/** Leaves what a comparison reads of a finished run, without training: hits are drawn. */
export function fakeRun(out: string, run: PlannedRun, worth: Worth): void {
  fakeTraining(run);
  const rng = new Rng("fake hits", run.name);
  const outcomes = new Map(
    Object.entries(worth).map(([name, chance]): [string, Outcome] => [
      name,
      {
        kind: "share",
        hits: Uint8Array.from(testImages, () => Number(rng.bool(chance))),
        images: testImages,
      },
    ]),
  );
  const split = { images: 20, objects: 40, omitted: nothing };
  const evaluation = {
    version: 2,
    step: 300,
    data: { train: { kind: "module", path: "x.js" } },
    classes: ["a"],
    train: split,
    test: split,
    majority: 0.1,
    probes: [],
    examples: [],
    outcomes: writeOutcomes(join(run.folder, "outcomes.json"), outcomes),
    settings: { ...settings, suites: ["knn", "linear"] },
    measurements: [...outcomes].map(([name, { images, ...outcome }]) => {
      const hits = outcome.kind === "share" ? outcome.hits : new Uint8Array();
      const value = hits.reduce((sum, hit) => sum + hit, 0) / images.length;
      return { name, value, low: value, high: value, n: images.length };
    }),
  };
  writeFileSync(join(run.folder, "evaluation.json"), JSON.stringify(evaluation));
  const stage = { status: "finished", seconds: 60, peakBytes: 5e8, ended: "2026" } as const;
  writeRecord(out, run.name, {
    version: 1,
    pretrain: { ...stage, words: [...run.pretrain] },
    evaluate: { ...stage, words: [...run.evaluate] },
  });
}

/** A run that trained for 300 steps. */
export function fakeTraining({ folder, recipe, pretrain }: PlannedRun): void {
  emptyRun(folder, recipe, parseDataSpec(pretrain[pretrain.indexOf("--data") + 1]!));
  writeJsonLines(join(folder, "metrics.jsonl"), metricsRows(300, recipe));
}

export function fakeFailure(out: string, run: PlannedRun, message: string): void {
  fakeTraining(run);
  const pretrain: StageRecord["pretrain"] = {
    words: [...run.pretrain],
    status: "failed",
    message,
    seconds: 9,
    ended: "2026",
  };
  writeRecord(out, run.name, { version: 1, pretrain });
}
