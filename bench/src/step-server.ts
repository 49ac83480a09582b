import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import {
  deviceMemory,
  placeFromEnvironment,
  ProcessGroup,
  releaseMemory,
  setThreads,
  synchronize,
  threads,
} from "@odis/torch";
import { createState, trainOn, World } from "../../packages/odis/dist/train/index.js";
import type { BlockReport } from "./contestant.js";
import { loadRecipe, midRunValues, syntheticBatch, type WorkloadName } from "./workload.js";

/** Files of BLAS libraries mapped into this process. */
function liveBlas(): string[] {
  const paths = readFileSync("/proc/self/maps", "utf8").match(/\/\S*\/[^/\s]*(blas|blis|mkl)\S*/g);
  return [...new Set(paths ?? [])].toSorted();
}

/** Our side of the step benches: see `Contestant` for the protocol. */
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "vit-s" },
    threads: { type: "string", default: "2" },
    device: { type: "string", default: "cpu" },
    batch: { type: "string" },
    bfloat16: { type: "boolean", default: false },
    memory: { type: "string", default: "keep" },
    shard: { type: "boolean", default: false },
  },
});
const { device } = values;
setThreads(Number(values.threads));
const workload = loadRecipe(values.model as WorkloadName);
const recipe = {
  ...workload,
  optim: {
    ...workload.optim,
    batch: Number(values.batch ?? workload.optim.batch),
    precision: values.bfloat16 ? ("bfloat16" as const) : ("float32" as const),
    memory: values.memory as typeof workload.optim.memory,
    shard: values.shard,
  },
};
const place = placeFromEnvironment();
const world = place
  ? new World(ProcessGroup.join(place, { device, patienceSeconds: 600 }), device)
  : World.alone;
const state = createState(recipe, device, { world });
const share = { ...recipe.optim, batch: recipe.optim.batch / world.size };
const batch = syntheticBatch({ ...recipe, optim: share });
const schedule = midRunValues(recipe);

for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line);
  const seconds: number[] = [];
  let loss = Number.NaN;
  // What the block before gave back to the card is asked for again here, not in a step that is timed.
  if (device !== "cpu") trainOn(state, batch, schedule);
  synchronize(device);
  const sent = world.traffic;
  const block = performance.now();
  for (let step = 0; step < steps; step += 1) {
    const began = performance.now();
    loss = trainOn(state, batch, schedule).terms.total;
    seconds.push((performance.now() - began) / 1000);
  }
  synchronize(device);
  // Work on a device goes on behind a step that has returned: only the whole block can be timed.
  const mean = (performance.now() - block) / 1000 / steps;
  // The contestants share the card's memory, not its time.
  releaseMemory(device);
  const usage = process.resourceUsage();
  const report: BlockReport = {
    seconds: device === "cpu" ? seconds : seconds.map(() => mean),
    deviceMemory: deviceMemory(device)?.peak ?? 0,
    peakRss: usage.maxRSS * 1024,
    minorFaults: usage.minorPageFault,
    threads: threads(),
    blas: liveBlas(),
    loss,
    messages: world.traffic.messages - sent.messages,
    sent: world.traffic.bytes - sent.bytes,
    moments: [...state.optimizer.state().values()].reduce((sum, one) => sum + 8 * one.mean.size, 0),
  };
  console.log(JSON.stringify(report));
}
