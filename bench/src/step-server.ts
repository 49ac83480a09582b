import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setThreads, threads } from "@odis/torch";
import { createState, trainStep } from "../../packages/odis/dist/train/index.js";
import type { BlockReport } from "./contestant.js";
import { loadRecipe, midRunKnobs, syntheticBatch, type WorkloadName } from "./workload.js";

/** Files of BLAS libraries mapped into this process. */
function liveBlas(): string[] {
  const paths = readFileSync("/proc/self/maps", "utf8").match(/\/\S*\/[^/\s]*(blas|blis|mkl)\S*/g);
  return [...new Set(paths ?? [])].toSorted();
}

/** Our side of the step bench: see `Contestant` for the protocol. */
const [name, threadCount] = process.argv.slice(2);
setThreads(Number(threadCount));
const recipe = loadRecipe(name as WorkloadName);
const state = createState(recipe);
const batch = syntheticBatch(recipe);
const knobs = midRunKnobs(recipe);

for await (const line of createInterface({ input: process.stdin })) {
  const seconds: number[] = [];
  let loss = Number.NaN;
  for (let step = 0; step < Number(line); step += 1) {
    const began = performance.now();
    loss = trainStep(state, batch, knobs).terms.total;
    seconds.push((performance.now() - began) / 1000);
  }
  const usage = process.resourceUsage();
  const report: BlockReport = {
    seconds,
    peakRss: usage.maxRSS * 1024,
    minorFaults: usage.minorPageFault,
    threads: threads(),
    blas: liveBlas(),
    loss,
  };
  console.log(JSON.stringify(report));
}
