import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeScenes } from "../../packages/odis/dist/scenes/index.js";
import { type DataSpec, openSource } from "../../packages/odis/dist/data/index.js";
import type { Recipe } from "../../packages/odis/dist/recipe/index.js";
import { openViewLoader } from "../../packages/odis/dist/batches/index.js";
import { printTable } from "./table.js";
import { loadRecipe } from "./workload.js";

const photographs = fileURLToPath(
  new URL("../../packages/odis/test/fixtures/coco-6", import.meta.url),
);
const SCENES = 512;

/** Images per second that the data workers deliver when nothing else runs. */
export async function benchLoader(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "odis-bench-"));
  try {
    const scenes = await makeScenes(join(folder, "scenes"), { train: SCENES, test: 1 });
    const coco: DataSpec = {
      kind: "coco",
      images: join(photographs, "images"),
      annotations: join(photographs, "instances.json"),
    };
    printTable(`loader: ${availableParallelism()} workers, nothing else running`, [
      ["data and views", "images/s"],
      ["photographs, 2x224 + 10x96, batch 4", await measure(coco, loadRecipe("vit-s"), 24)],
      ["scenes, 2x48 + 4x24, batch 64", await measure(scenes.train, loadRecipe("small"), 24)],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measure(
  spec: DataSpec,
  { views, model, optim }: Recipe,
  batches: number,
): Promise<string> {
  const { patch } = model;
  const source = await openSource(spec);
  const loader = await openViewLoader(source, { views, patch, batch: optim.batch, seed: 0 });
  try {
    // The ring's batches are ready, or half made, before the clock starts.
    for (let warm = 0; warm < 4; warm += 1) await loader.next();
    const began = performance.now();
    for (let at = 0; at < batches; at += 1) await loader.next();
    return ((1000 * batches * optim.batch) / (performance.now() - began)).toPrecision(3);
  } finally {
    await loader.close();
  }
}
