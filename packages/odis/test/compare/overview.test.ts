import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Overview } from "../../src/compare/overview.js";
import type { PlanInput } from "../../src/compare/plan.js";
import { scratchFolder } from "../scratch.js";
import { fakePlan, fakeRun, fakeTraining } from "./fake-comparison.js";

const scratch = scratchFolder();
const plan: PlanInput = {
  name: "x",
  data: { train: "coco:a", test: "coco:b" },
  common: { recipe: "odis", model: "vit-mini", steps: 1000 },
  seeds: [0, 1, 2],
  rows: [{ name: "odis" }],
};

/** The first run's stage has begun; what a stream gets that is a terminal of 60 columns, or none. */
function begun(stage: "pretrain" | "evaluate", isTTY = false) {
  const out = scratch();
  mkdirSync(join(out, "runs"));
  const { runs } = fakePlan(plan, out);
  const written: string[] = [];
  const stream = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  const overview = new Overview(runs, out, stream);
  overview.begin(0, stage);
  return { out, runs, written, overview };
}

it("tells the time that is left by the steps of the first run, later by runs that finished", () => {
  const { out, runs, written, overview } = begun("pretrain");
  expect(written.splice(0)).toEqual(["[1/3] odis seed 0 · trains\n"]);
  // 300 steps of 1,000 took .41 s each: three runs of 410 s.
  fakeTraining(runs[0]!);
  overview.line("step 300/1000");
  expect(written.splice(0)).toEqual([
    "[1/3] odis seed 0 · 20 min 30 s left in all · step 300/1000\n",
  ]);
  overview.line("step 310/1000"); // another within the minute
  expect(written).toEqual([]);
  // A finished run took 60 s of training and 60 s of evaluation: two more of them.
  fakeRun(out, runs[0]!, {});
  overview.end({ words: [], status: "finished", seconds: 61, ended: "" });
  overview.begin(1, "pretrain");
  expect(written).toEqual([
    "[1/3] odis seed 0 · training finished after 1 min 1 s\n",
    "[2/3] odis seed 1 · 4 min 0 s left in all · trains\n",
  ]);
});

it("passes on what an evaluation says once, and one line a minute of its images", () => {
  const { written, overview } = begun("evaluate");
  written.splice(0);
  for (const text of [
    "train: 1 of 2,000 images",
    "train: 1,400 of 2,000 images",
    "test: 1 of 1 image",
  ])
    overview.line(text);
  overview.line("--mode crop is left out by linear");
  expect(written).toEqual([
    "[1/3] odis seed 0 · train: 1 of 2,000 images\n",
    "[1/3] odis seed 0 · --mode crop is left out by linear\n",
  ]);
});

it("reads the newest whole row, whatever the order of its keys", () => {
  const { runs, written, overview } = begun("pretrain");
  written.splice(0);
  fakeTraining(runs[0]!);
  const metrics = join(runs[0]!.folder, "metrics.jsonl");
  // 500 steps of 1,000 in 100 s; then a row that says nothing, and half a row.
  const rows = ['{"tries":[1,2],"time":100,"loss":null,"step":499}', '{"step":"500"}', '{"time":9'];
  writeFileSync(metrics, `${"x".repeat(70_000)}\n${rows.join("\n")}`);
  overview.line("step 500/1000");
  expect(written).toEqual(["[1/3] odis seed 0 · 10 min 0 s left in all · step 500/1000\n"]);
});

it("rewrites one line of a terminal, and leaves what ended standing above it", () => {
  const { written, overview } = begun("evaluate", true);
  overview.line(`step ${"x".repeat(80)}`);
  overview.end({ words: [], status: "failed", message: "why", seconds: 2, ended: "" });
  expect(written).toEqual([
    "\r[1/3] odis seed 0 · evaluates\u001b[K",
    `\r[1/3] odis seed 0 · step ${"x".repeat(34)}\u001b[K`,
    "\r\u001b[K",
    "[1/3] odis seed 0 · evaluation failed after 2 s: why\n",
  ]);
});
