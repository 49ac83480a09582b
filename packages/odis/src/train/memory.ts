import { totalmem } from "node:os";
import { deviceInfo } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import type { Recipe } from "../recipe/index.js";
import { type CostOptions, stepCost, type StepMemory } from "./cost.js";

/** Bytes that a device has; of the CPU the machine's, or what this process may take of them. */
export function memoryOfDevice(device: string): number {
  const limit = process.constrainedMemory(); // 2^64 or 0 where there is none
  const host = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return deviceInfo(device)?.bytes ?? host;
}

/** Estimates may be that far off; only what cannot fit in any case is refused. */
const MARGIN = 1.5;

/**
 * Refuses a recipe whose step cannot fit into memory, before anything of it is allocated.
 *
 * @param available bytes, default: all of the device
 * @throws ConfigError with the figures, what takes most, and what would fit
 */
export function checkMemory(
  recipe: Recipe,
  options: CostOptions = {},
  available = memoryOfDevice(options.device ?? "cpu"),
): void {
  const sharing =
    options.device === undefined || options.device === "cpu" ? (options.processes ?? 1) : 1;
  const share = available / sharing;
  const fits = (changed: Recipe): boolean => stepCost(changed, options).memory.total <= share;
  const { memory } = stepCost(recipe, options);
  if (memory.total <= MARGIN * share) return;
  const [largest, bytes] = largestOf(memory);
  throw new ConfigError(
    `a step of this recipe needs about ${bytesText(memory.total)} of memory; ` +
      `${sharing > 1 ? `each of ${sharing} processes` : (options.device ?? "this machine")} has ${bytesText(share)}. ` +
      `Most of it is for ${largest} (${bytesText(bytes)}). ${advice(recipe, fits)}`,
  );
}

const names: Readonly<Record<Exclude<keyof StepMemory, "total">, string>> = {
  weights: "the weights of student and teacher",
  gradients: "gradients",
  moments: "the optimiser's moments",
  activations: "activations",
  heads: "logits and targets",
  batch: "pixels of a batch",
  waiting: "batches that wait for the step",
};

function largestOf(memory: StepMemory): readonly [name: string, bytes: number] {
  const keys = Object.keys(names) as (keyof typeof names)[];
  const largest = keys.toSorted((a, b) => memory[b] - memory[a])[0]!;
  return [names[largest], memory[largest]];
}

type Fits = (recipe: Recipe) => boolean;

function advice(recipe: Recipe, fits: Fits): string {
  const [first] = cheaper(recipe, fits);
  if (first) return `The same numbers fit with ${first}.`;
  const settings = smaller(recipe, fits);
  return settings.length > 0
    ? `It would fit with ${settings.slice(0, 3).join(", or with ")}.`
    : `No single setting makes it fit; begin with a recipe of a named size (odis recipes).`;
}

/** Settings that change no numbers but rounding, the ones that cost least first. */
function* cheaper(recipe: Recipe, fits: Fits): Generator<string> {
  const { optim } = recipe;
  const pieces = divisors(optim.batch).filter((count) => count >= optim.accumulate);
  for (const memory of ["keep", "recompute", "stream"] as const)
    for (const accumulate of memory === "stream" ? [1] : pieces) {
      if (memory === "stream" && optim.clipScope !== "each") continue;
      if (fits({ ...recipe, optim: { ...optim, memory, accumulate } }))
        yield [
          ...(accumulate === optim.accumulate ? [] : [`optim.accumulate=${accumulate}`]),
          ...(memory === optim.memory ? [] : [`optim.memory=${memory}`]),
        ].join(" and ");
    }
}

/** A setting that decides sizes: how it is changed, and the steps that it can take. */
interface Size {
  readonly name: string;
  readonly value: number;
  readonly step: number;
  readonly with: (value: number) => Recipe;
}

function sizesOf(recipe: Recipe): readonly Size[] {
  const { model, head, views, optim } = recipe;
  const { patch, heads } = model;
  const { globals, locals } = views;
  return [
    {
      name: "optim.batch",
      value: optim.batch,
      step: optim.accumulate,
      with: (batch) => ({ ...recipe, optim: { ...optim, batch } }),
    },
    {
      name: "model.depth",
      value: model.depth,
      step: 1,
      with: (depth) => ({ ...recipe, model: { ...model, depth } }),
    },
    {
      name: "model.dim",
      value: model.dim,
      step: heads,
      with: (dim) => ({ ...recipe, model: { ...model, dim } }),
    },
    {
      name: "head.prototypes",
      value: head.prototypes,
      step: 2,
      with: (prototypes) => ({ ...recipe, head: { ...head, prototypes } }),
    },
    {
      name: "head.hidden",
      value: head.hidden,
      step: 1,
      with: (hidden) => ({ ...recipe, head: { ...head, hidden } }),
    },
    {
      name: "head.bottleneck",
      value: head.bottleneck,
      step: 1,
      with: (bottleneck) => ({ ...recipe, head: { ...head, bottleneck } }),
    },
    {
      name: "model.mlpRatio",
      value: model.mlpRatio,
      step: 1,
      with: (mlpRatio) => ({ ...recipe, model: { ...model, mlpRatio } }),
    },
    {
      name: "views.globals.size",
      value: globals.size,
      step: patch,
      with: (size) => ({ ...recipe, views: { ...views, globals: { ...globals, size } } }),
    },
    {
      name: "views.locals.size",
      value: locals.size,
      step: patch,
      with: (size) => ({ ...recipe, views: { ...views, locals: { ...locals, size } } }),
    },
    {
      name: "views.locals.count",
      value: locals.count,
      step: 1,
      with: (count) => ({ ...recipe, views: { ...views, locals: { ...locals, count } } }),
    },
  ];
}

/** Single settings that make it fit, with the largest value that does. */
function smaller(recipe: Recipe, fits: Fits): string[] {
  const lowered = sizesOf(recipe).flatMap((size) => {
    // In steps of `step`; the whole one is known not to fit.
    let [good, bad] = [0, Math.ceil(size.value / size.step)];
    while (bad - good > 1) {
      const middle = Math.floor((good + bad) / 2);
      if (fits(size.with(middle * size.step))) good = middle;
      else bad = middle;
    }
    return good > 0 ? [`${size.name}=${good * size.step}`] : [];
  });
  const { model, views } = recipe;
  const patches = divisors(views.globals.size).filter(
    (patch) => patch > model.patch && views.locals.size % patch === 0,
  );
  const patch = patches.find((one) => fits({ ...recipe, model: { ...model, patch: one } }));
  return [...lowered, ...(patch === undefined ? [] : [`model.patch=${patch}`])];
}

function divisors(n: number): number[] {
  const small = Array.from({ length: Math.floor(Math.sqrt(n)) }, (_, i) => i + 1).filter(
    (d) => n % d === 0,
  );
  return [...new Set([...small, ...small.toReversed().map((d) => n / d)])];
}

/** `830 MB`, `9.4 GB`, `56 TB` */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(bytes) / 3)));
  const value = bytes / 1000 ** power;
  return `${value >= 1e5 ? value.toExponential(1) : value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
