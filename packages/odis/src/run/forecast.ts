import { noGrad, ones, tidy } from "@odis/torch";
import {
  modelNames,
  readsObjectsAlone,
  type Recipe,
  recipeLayers,
  recipeNames,
  resolveRecipe,
} from "../recipe/index.js";
import {
  bytesText,
  type CostOptions,
  memoryOfDevice,
  type MetricsRow,
  stepCost,
} from "../train/index.js";
import { duration } from "./progress.js";

/** Runs that take less are not worth a sentence before them. */
const shortRun = { seconds: 60, bytes: 1e9 };

/** Share of the rate of matrix products that whole steps reach; see EXPERIMENTS.md. */
const reached = 0.6;

/**
 * What a run will take of memory and time, before anything is allocated: an estimate from the sizes
 * of its recipe and the speed of matrix products in this process, with the cores that are its own. Several
 * processes share the images of a step, and each has the whole network.
 *
 * @param rate floating-point operations a second of this process
 * @returns nothing for a short run
 */
export function forecast(
  recipe: Recipe,
  totalSteps: number,
  options: CostOptions = {},
  rate: () => number = productRate,
): string | undefined {
  const { parameters, flops, memory } = stepCost(recipe, options);
  const { device = "cpu", processes = 1 } = options;
  // Measuring takes some 1e10 operations itself: not for a run of a hundred times that.
  const isMeasured = device === "cpu" && totalSteps * flops > 1e12;
  const perStep = isMeasured ? flops / processes / (reached * rate()) : undefined;
  const seconds = totalSteps * (perStep ?? 0);
  if (seconds < shortRun.seconds && memory.total < shortRun.bytes) return undefined;
  // What such a step leaves out follows from the data.
  const about = readsObjectsAlone(recipe) ? "at most about" : "about";
  const needs =
    `${millions(parameters)} parameters; a step of ${recipe.optim.batch} images needs ${about} ` +
    `${bytesText(memory.total)} ${processes > 1 ? `in each of ${processes} processes, ` : ""}` +
    `of ${bytesText(memoryOfDevice(device))} memory`;
  if (perStep === undefined) return needs;
  return (
    `${needs} and ${about} ${stepTime(perStep)}: ${duration(seconds)} for ${totalSteps} steps` +
    smallerChoices(recipe, options, seconds)
  );
}

/** A small network's step takes less than `duration` tells apart. */
const stepTime = (seconds: number): string =>
  seconds < 10 ? `${seconds.toPrecision(2)} s` : duration(seconds);

const millions = (count: number): string => `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} million`;

/** Floating-point operations a second in one matrix product of side 1024. */
function productRate(): number {
  const side = 1024;
  const seconds = noGrad(() =>
    tidy(() => {
      const a = ones([side, side]);
      let best = Infinity;
      for (let round = 0; round < 5; round += 1) {
        const began = performance.now();
        tidy(() => a.matmul(a).free());
        best = Math.min(best, (performance.now() - began) / 1000);
      }
      return best;
    }),
  );
  return (2 * side ** 3) / seconds;
}

/** Runs of this length are worth the thought of a smaller one. */
const longRun = 3600;

/** `; smaller: --model vit-ti 9 h 2 min, --set views.locals.count=4 12 h 10 min` */
function smallerChoices(recipe: Recipe, options: CostOptions, seconds: number): string {
  if (seconds < longRun) return "";
  const { flops } = stepCost(recipe, options);
  const told = choices(recipe).flatMap(([words, changed]) => {
    const share = stepCost(changed, options).flops / flops;
    return share < 0.8 ? [`${words} ${duration(share * seconds)}`] : [];
  });
  return told.length === 0 ? "" : `; smaller: ${told.join(", ")}`;
}

function choices(recipe: Recipe): readonly (readonly [words: string, changed: Recipe])[] {
  const { views, optim } = recipe;
  const [method, size] = recipe.name.split(" ");
  const name = recipeNames.find((known) => known === method);
  const at = modelNames.findIndex((known) => known === size);
  const sizes = name === undefined || at < 0 ? [] : (["vit-ti", "vit-mini"] as const);
  const smaller = sizes
    .filter((other) => other !== size)
    .map((other): readonly [string, Recipe] => {
      const whole = resolveRecipe(recipeLayers(name!, other));
      return [`--model ${other}`, { ...whole, optim: { ...whole.optim, batch: optim.batch } }];
    });
  const locals = { ...views.locals, count: 4 };
  return [
    ...smaller,
    ...(views.locals.count > 4
      ? [["--set views.locals.count=4", { ...recipe, views: { ...views, locals } }] as const]
      : []),
  ];
}

/** Steps after which a session's own pace is believed. */
const believed = { steps: 5, seconds: 20 };

/** Tells once, from real steps, how long a long run still takes. */
export class Pace {
  private first: MetricsRow | undefined;
  private told = false;

  constructor(private readonly totalSteps: number) {}

  /** @returns a sentence, when a long run's pace has become known */
  observe(row: MetricsRow): string | undefined {
    // The first step of a session sets up threads and memory; it says little about the others.
    this.first ??= row;
    const steps = row.step - this.first.step;
    const seconds = row.time - this.first.time;
    if (this.told || steps < believed.steps || seconds < believed.seconds) return undefined;
    this.told = true;
    const perStep = seconds / steps;
    const left = (this.totalSteps - row.step - 1) * perStep;
    if (left < longRun) return undefined;
    return `at this pace (${perStep.toPrecision(3)} s a step) it takes ${duration(left)} more`;
  }
}
