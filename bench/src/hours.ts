import {
  type ModelSize,
  type Recipe,
  type RecipeName,
  recipeLayers,
  resolveRecipe,
} from "../../packages/odis/dist/recipe/index.js";
import { stepCost } from "../../packages/odis/dist/train/index.js";
import { imageNet } from "./places.js";
import { printTable } from "./table.js";

/** Measured on one H200 (docs/experiments/2026-11.md): matrix products of 8192³ in bfloat16, a second. */
const MATRIX_RATE = 666e12;
/** Share of it: what eager PyTorch's ViT-S reached there, and what is assumed of a step that keeps the card busy. */
const reached = { eager: 0.089, assumed: 0.3 };
/** Photographs a second of one core of an Intel Xeon, measured: drawn by workers, and by the device. */
const perCore = { workers: 194, device: 264 };
/** Bytes of a photograph: the mean of COCO-100. Taken for every data set. */
const PHOTO = 175e3;
/** Assumed: 400 Gbit/s for each GPU; a drive that writes 1 GB/s. */
const [LINK, DRIVE] = [50e9, 1e9];
const cards = [8, 64, 512];

interface LongRun {
  readonly name: string;
  readonly method: RecipeName;
  readonly size: ModelSize;
  readonly batch: number;
  /** of the whole run */
  readonly images: number;
}

const runs: readonly LongRun[] = [
  { name: "ViT-S, 800 epochs", method: "odis", size: "vit-s", batch: 1024, images: 800 * imageNet },
  { name: "ViT-B, 400 epochs", method: "odis", size: "vit-b", batch: 1024, images: 400 * imageNet },
  { name: "ViT-L, 250 epochs", method: "odis", size: "vit-l", batch: 1024, images: 250 * imageNet },
  {
    name: "ViT-g/14, 625,000 steps",
    method: "odis-dinov2",
    size: "vit-g",
    batch: 3072,
    images: 625_000 * 3072,
  },
];

function recipeOf({ method, size, batch }: LongRun): Recipe {
  const own = { optim: { batch, precision: "bfloat16", shard: true } };
  return resolveRecipe([...recipeLayers(method, size), { source: "hours", values: own }]);
}

const rounded = (value: number): string => Number(value.toPrecision(2)).toLocaleString("en-US");

/** What long runs take, by arithmetic from measured pieces and from assumptions; see docs/scale.md. */
export function printHours(): void {
  const whole = runs.map((run) => {
    const { flops } = stepCost(recipeOf(run), { device: "cuda" });
    const each = flops / run.batch;
    const hours = (share: number): string =>
      rounded((each * run.images) / (MATRIX_RATE * share) / 3600);
    const figures = [rounded(run.images / 1e6), rounded(each / 1e9)];
    return [run.name, ...figures, hours(reached.eager), hours(reached.assumed)];
  });
  const head = ["", "million images", "GFLOP an image", "GPU hours, 59 TFLOP/s", "200 TFLOP/s"];
  printTable("Hours of H200s for a whole run", [head, ...whole]);
  const shared = runs.flatMap((run) => cards.map((count) => [run.name, ...shareOf(run, count)]));
  const columns = ["GPUs", "images of each", "memory", "compute", "network", "days"];
  const rates = ["images/s of each", "cores, workers", "device", "disk MB/s", "checkpoint"];
  printTable("On so many GPUs, at 200 TFLOP/s each", [["", ...columns, ...rates], ...shared]);
}

/** A run on so many GPUs. A step takes as long as the longer of computing and sending. */
function shareOf(run: LongRun, count: number): readonly string[] {
  const recipe = recipeOf(run);
  const { flops, parameters, memory } = stepCost(recipe, { device: "cuda", processes: count });
  const whole = stepCost(recipe, { device: "cuda" }).memory;
  const compute = flops / count / (MATRIX_RATE * reached.assumed);
  const network = (2 * 4 * parameters * (1 - 1 / count)) / LINK; // a ring sends each gradient twice
  const step = Math.max(compute, network);
  const rate = run.batch / count / step;
  return [
    `${count}`,
    `${run.batch / count}`,
    `${rounded(memory.total / 1e9)} GB`,
    `${rounded(1000 * compute)} ms`,
    `${rounded(1000 * network)} ms`,
    rounded((step * run.images) / run.batch / 86_400),
    rounded(rate),
    rounded(rate / perCore.workers),
    rounded(rate / perCore.device),
    rounded((rate * count * PHOTO) / 1e6),
    `${rounded((whole.weights + whole.moments) / DRIVE)} s`,
  ];
}
