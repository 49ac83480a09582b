import { deviceMemory, releaseMemory, resetPeakMemory, synchronize } from "@odis/torch";
import {
  type ModelSize,
  type Recipe,
  type RecipeName,
  recipeLayers,
  resolveRecipe,
} from "../../packages/odis/dist/recipe/index.js";
import { createState, stepCost, trainOn } from "../../packages/odis/dist/train/index.js";
import { printTable } from "./table.js";
import { midRunValues, syntheticBatch } from "./workload.js";

/** A network whose largest batch on a card is looked for. */
export interface Large {
  readonly method: RecipeName;
  readonly size: ModelSize;
  /** ways of saving memory */
  readonly memory: readonly Recipe["optim"]["memory"][];
  /** two batches that surely fit: memory grows as a line through them */
  readonly probes: readonly [number, number];
}

/** A step of a network, the first of its size. */
interface Step {
  readonly batch: number;
  /** at its peak */
  readonly bytes: number;
  readonly seconds: number;
}

/** Left free: other processes on the card, and pieces that the allocator cannot use. */
const SPARE = 0.04;

/**
 * Prints the largest batch of each network in bfloat16 that a card of so many bytes takes: by a line through two
 * steps, then shown by a step of that size.
 */
export function benchCapacity(networks: readonly Large[], device: string, bytes: number): void {
  const head = [
    "",
    "memory",
    "at batch",
    "takes",
    "a batch more",
    "largest",
    "seen to take",
    "s",
    "our estimate",
  ];
  const lines: string[][] = [];
  for (const { method, size, memory, probes } of networks)
    for (const way of memory) {
      lines.push(row(method, size, way, probes, device, bytes));
      printTable(`the largest batch on ${gib(bytes)} of ${device}, bfloat16`, [head, ...lines]);
    }
}

function row(
  method: RecipeName,
  size: ModelSize,
  memory: Recipe["optim"]["memory"],
  probes: readonly [number, number],
  device: string,
  bytes: number,
): string[] {
  const recipeOf = (batch: number): Recipe =>
    resolveRecipe([
      ...recipeLayers(method, size),
      { source: "capacity", values: { optim: { batch, memory, precision: "bfloat16" } } },
    ]);
  using state = createState(recipeOf(probes[0]), device);
  const peakAt = (batch: number): Step => {
    const recipe = recipeOf(batch);
    const images = syntheticBatch(recipe);
    resetPeakMemory(device);
    const began = performance.now();
    trainOn({ ...state, recipe }, images, midRunValues(recipe));
    synchronize(device);
    const seconds = (performance.now() - began) / 1000;
    const { peak } = deviceMemory(device) ?? { peak: Number.NaN };
    releaseMemory(device);
    return { batch, bytes: peak, seconds };
  };
  const [less, more] = [peakAt(probes[0]), peakAt(probes[1])];
  const each = (more.bytes - less.bytes) / (more.batch - less.batch);
  const most = Math.floor((bytes * (1 - SPARE) - less.bytes) / each) + less.batch;
  const name = [`${method} ${size}`, memory, `${less.batch}`, gib(less.bytes), gib(each)];
  // The CPU counts no memory of its own.
  if (!Number.isFinite(most)) return [...name, "–", "–", less.seconds.toFixed(2), "–"];
  const largest = most > 64 ? most - (most % 8) : most;
  const seen = attempt(() => peakAt(largest));
  const estimate = gib(stepCost(recipeOf(largest), { device }).memory.total);
  return [...name, `${largest}`, ...seen, estimate];
}

/** Too large is a row of its own, not the end of the table. */
function attempt(run: () => Step): [string, string] {
  try {
    const { bytes, seconds } = run();
    return [gib(bytes), seconds.toFixed(2)];
  } catch (error) {
    return [error instanceof Error ? error.message.slice(0, 40) : "did not run", "–"];
  }
}

const gib = (bytes: number): string =>
  Number.isFinite(bytes) ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : "–";
