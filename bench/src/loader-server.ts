import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { openViewLoader } from "../../packages/odis/dist/batches/index.js";
import { openSource } from "../../packages/odis/dist/data/index.js";
import type { LoaderReport } from "./loader.js";
import { loadRecipe } from "./workload.js";

/**
 * Our side of the loader bench: one data worker, which draws the views or leaves that to the device. See
 * `Contestant` for the protocol.
 */
const [images, annotations, drawnBy] = process.argv.slice(2);
const { views: settings, model, optim } = loadRecipe("vit-s");
const views = { ...settings, drawnBy: drawnBy === "device" ? "device" : "workers" } as const;
const source = await openSource({ kind: "coco", images: images!, annotations: annotations! });
const options = { views, patch: model.patch, batch: optim.batch, seed: 0, workers: 1 };
const loader = await openViewLoader(source, options);

/** Of all threads of this process, user and system. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Waits until the worker has filled the ring and sleeps, so that a block counts all of its own work. */
async function idle(): Promise<void> {
  for (let before = -1, now = cpuSeconds(); now - before > 0.001; now = cpuSeconds()) {
    before = now;
    await setTimeout(50);
  }
}

await idle();
for await (const line of createInterface({ input: process.stdin })) {
  const batches = Math.ceil(Number(line) / optim.batch);
  const began = cpuSeconds();
  for (let at = 0; at < batches; at += 1) await loader.next();
  await idle();
  const report: LoaderReport = {
    seconds: [(cpuSeconds() - began) / (batches * optim.batch)],
    peakRss: process.resourceUsage().maxRSS * 1024,
    versions: `Node ${process.versions.node}`,
  };
  console.log(JSON.stringify(report));
}
await loader.close();
