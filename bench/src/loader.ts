import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { makeScenes } from "../../packages/odis/dist/scenes/index.js";
import { type DataSpec, openSource } from "../../packages/odis/dist/data/index.js";
import type { Recipe } from "../../packages/odis/dist/recipe/index.js";
import { openViewLoader } from "../../packages/odis/dist/batches/index.js";
import { Contestant, inTurn, ratioOver } from "./contestant.js";
import { median } from "./measure.js";
import { local, peerPython, photographs } from "./places.js";
import { megabytes, printTable } from "./table.js";
import { loadRecipe } from "./workload.js";

const SCENES = 512;

/** Images that a contestant makes at a time; a multiple of the batch. */
const BLOCK = 96;

export interface LoaderOptions {
  /** blocks of each contestant, in turn */
  readonly rounds: number;
  /** whether the Python peer takes part */
  readonly peer: boolean;
  /** a folder with images/ and instances.json; default: six photographs of COCO */
  readonly photos?: string | undefined;
}

/** What a contestant says of a block. */
export interface LoaderReport {
  /** one number: of CPU time, for an image */
  readonly seconds: readonly number[];
  /** largest resident memory of the process so far, bytes */
  readonly peakRss: number;
  readonly versions: string;
}

/**
 * Images per second that the data workers deliver when nothing else runs, and what one core gives beside
 * Pillow and torchvision.
 */
export async function benchLoader({ rounds, peer, photos }: LoaderOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "odis-bench-"));
  try {
    const scenes = await makeScenes(join(folder, "scenes"), { train: SCENES, test: 1 });
    const place = photos ?? photographs;
    const images = join(place, "images");
    const annotations = join(place, "instances.json");
    const coco: DataSpec = { kind: "coco", images, annotations };
    printTable(`loader: ${availableParallelism()} workers, nothing else running`, [
      ["data and views", "images/s"],
      ["photographs, 2x224 + 10x96, batch 4", await measure(coco, loadRecipe("vit-s"), 24)],
      ["scenes, 2x48 + 4x24, batch 64", await measure(scenes.train, loadRecipe("small"), 24)],
    ]);
    await pair(images, annotations, rounds, peer);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One worker and one Python process in turn; CPU time, so that other programs count little. */
async function pair(
  images: string,
  annotations: string,
  rounds: number,
  peer: boolean,
): Promise<void> {
  const needs =
    "the peer needs torchvision and Pillow: npm run bench:venv, or name a PYTHON that has them";
  const worker = (name: string, drawnBy: string): Contestant<LoaderReport> =>
    new Contestant<LoaderReport>(
      name,
      process.execPath,
      [local("loader-server.js"), images, annotations, drawnBy],
      process.env,
    );
  const ours = worker("odis, one worker", "workers");
  const planning = worker("odis, views.drawnBy=device: decoded and planned", "device");
  const pillow = peer
    ? new Contestant<LoaderReport>(
        "Pillow and torchvision",
        peerPython(),
        [local("../peer/loader.py"), "--serve", "--images", images],
        process.env,
        needs,
      )
    : undefined;
  const contestants = [ours, planning, ...(pillow ? [pillow] : [])];
  await inTurn(contestants, rounds, BLOCK);
  printTable(
    `views of photographs, 2x224 + 10x96, from JPEG to bytes (or to plans); CPU time of one core`,
    [
      ["", "ms an image", "images/s a core", "peak memory", ""],
      ...contestants.map((contestant) => {
        const time = median(contestant.seconds);
        const { peakRss, versions } = contestant.last;
        return [
          contestant.name,
          (1000 * time).toPrecision(3),
          (1 / time).toPrecision(3),
          megabytes(peakRss),
          versions,
        ];
      }),
    ],
  );
  if (pillow) console.log(`  ${ratioOver(ours, pillow)}`);
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
