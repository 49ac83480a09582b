import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { runtimeInfo } from "@odis/torch";
import { benchAttention } from "./attention.js";
import { benchBridge } from "./bridge.js";
import { benchCrops } from "./crops.js";
import { benchEmbed } from "./embed.js";
import { benchExplore } from "./explore.js";
import { benchLarge } from "./large.js";
import { benchLoader } from "./loader.js";
import { benchMemory } from "./memory.js";
import { benchProcesses } from "./processes.js";
import { benchNeighbours } from "./neighbours.js";
import { imageNet } from "./places.js";
import { benchRecipes } from "./recipes.js";
import { benchSearch } from "./search.js";
import { benchSgemm } from "./sgemm.js";
import { benchStep, type PairOptions } from "./step.js";

const usage = `npm run bench -- [NAME...] [options]

  sgemm      rate of a large matrix product
  bridge     cost of one call into the engine
  attention  the fused attention beside the composed one
  crops      redrawing crops until the object is present, beside drawing them exactly
  loader     images per second of the data workers, and of one core in turn with Pillow and torchvision
  neighbours k-NN of 50,000 queries against 1.28 million rows of 384 (--whole runs all of it)
  embed      photographs to features by odis embed, in turn with transformers on the same weights
  search     time of a search among a million vectors, exact and by the index, and its recall (half an hour)
  explore    the explorer's page on 100,000 objects in Chromium: frames, answers, memory
  memory     resident memory over 1,000 training steps
  processes  a step of two processes of one thread, in turn with one; what they send
  recipes    a training step of every recipe, in turn, beside that of ibot
  small      a training step of a small model, in turn with the same step in eager PyTorch
  step       the same for ViT-S/16 with 2x224 + 10x96 views (minutes)
  large      memory and time of one step of ViT-L/16, activations kept or computed again (minutes)
  giant      the same for ViT-g/14 with the least memory (minutes, 19 GB)

Without names: all but search, explore, step, large and giant.

  --threads N   default 2
  --rounds N    blocks of each contestant in step, small, loader and embed, default 5
  --no-peer     leave the Python peers out
  --vectors N   of search, default 1,000,000
  --photos DIR  photographs of loader and embed: images/ and instances.json; default: six of COCO
  --whole       run all of neighbours, too, not only pieces (minutes)`;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    peer: { type: "boolean", default: true },
    whole: { type: "boolean", default: false },
    photos: { type: "string" },
    vectors: { type: "string", default: "1000000" },
    help: { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
const pair = (stepsPerBlock: number): PairOptions => ({
  threads,
  rounds: Number(values.rounds),
  stepsPerBlock,
  peer: values.peer,
});

const benches = new Map<string, () => void | Promise<void>>([
  ["sgemm", () => benchSgemm(threads)],
  ["bridge", benchBridge],
  ["attention", () => benchAttention(threads)],
  ["crops", benchCrops],
  [
    "loader",
    () => benchLoader({ rounds: Number(values.rounds), peer: values.peer, photos: values.photos }),
  ],
  [
    "neighbours",
    () =>
      benchNeighbours(threads, Number(values.rounds), {
        queries: 50_000,
        bank: imageNet,
        whole: values.whole,
      }),
  ],
  [
    "embed",
    () =>
      benchEmbed({
        threads,
        rounds: Number(values.rounds),
        peer: values.peer,
        photos: values.photos,
      }),
  ],
  ["search", () => benchSearch(threads, vectors)],
  ["explore", benchExplore],
  ["memory", benchMemory],
  ["processes", () => benchProcesses(Number(values.rounds), 5)],
  ["recipes", () => benchRecipes(threads, Number(values.rounds))],
  ["small", () => benchStep("small", pair(5))],
  ["step", () => benchStep("vit-s", pair(1))],
  ["large", () => benchLarge("vit-l", threads, ["keep", "recompute", "stream"])],
  ["giant", () => benchLarge("vit-g", threads, ["stream"])],
]);

const names =
  positionals.length > 0
    ? positionals
    : [...benches.keys()].filter(
        (n) => !["search", "explore", "step", "large", "giant"].includes(n),
      );
const unknown = names.find((name) => !benches.has(name));
if (values.help || unknown !== undefined) {
  if (unknown !== undefined) console.error(`bench: there is no bench "${unknown}"\n`);
  console.log(usage);
  process.exit(unknown === undefined ? 0 : 2);
}

const vectors = Number(values.vectors);
if (!(Number.isSafeInteger(vectors) && vectors >= 2)) {
  console.error(`bench: --vectors: got ${values.vectors}, wanted a whole number of 2 or more`);
  process.exit(2);
}

const { version, blas } = runtimeInfo();
console.log(`LibTorch ${version}, BLAS ${blas.path}, ${cpus().length} cores (${cpus()[0]?.model})`);
// A figure from a busy machine must say so.
console.log(`load of the machine at the start: ${loadavg()[0]!.toFixed(2)}`);
for (const name of names) await benches.get(name)!();
