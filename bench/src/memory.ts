import { liveTensors, setThreads } from "@odis/torch";
import { recipeSchema } from "../../packages/odis/dist/recipe/index.js";
import { createState, trainOn } from "../../packages/odis/dist/train/index.js";
import { megabytes, printTable } from "./table.js";
import { midRunValues, syntheticBatch } from "./workload.js";

const STEPS = 1000;
const EVERY = 100;

/** Resident memory and live tensors over 1,000 steps of a tiny model: both must stay flat. */
export function benchMemory(): void {
  setThreads(1);
  const recipe = recipeSchema.parse({
    name: "tiny",
    model: { dim: 32, depth: 2, heads: 2, patch: 8, dropPath: 0.1 },
    head: { hidden: 64, bottleneck: 32, prototypes: 64 },
    views: { globals: { count: 2, size: 32 }, locals: { count: 2, size: 16 } },
    optim: { batch: 4 },
  });
  const state = createState(recipe);
  const batch = syntheticBatch(recipe);
  const values = midRunValues(recipe);

  const samples: { step: number; rss: number; tensors: number }[] = [];
  for (let step = 1; step <= STEPS; step += 1) {
    trainOn(state, batch, values);
    if (step % EVERY === 0)
      samples.push({ step, rss: process.memoryUsage.rss(), tensors: liveTensors() });
  }
  printTable(`memory: ${STEPS} training steps of a tiny model`, [
    ["step", "resident", "live tensors"],
    ...samples.map(({ step, rss, tensors }) => [`${step}`, megabytes(rss), `${tensors}`]),
  ]);
  // The first samples still hold the compiler's and the allocator's growth.
  const settled = samples.slice(samples.length / 2);
  console.log(
    `  slope over the second half: ${(slope(settled) / 1024).toFixed(2)} KiB a step; live tensors ` +
      (new Set(samples.map(({ tensors }) => tensors)).size === 1 ? "constant" : "NOT constant"),
  );
}

/** Least-squares bytes per step. */
function slope(samples: readonly { step: number; rss: number }[]): number {
  const mean = (of: (sample: { step: number; rss: number }) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const step = mean((sample) => sample.step);
  const rss = mean((sample) => sample.rss);
  return (
    mean((sample) => (sample.step - step) * (sample.rss - rss)) /
    mean((sample) => (sample.step - step) ** 2)
  );
}
