import { median } from "d3-array";
import { z } from "zod";
import { join } from "node:path";
import { isRecord, readJsonLines } from "../core/index.js";
import { readRunConfig, recipeOf, runLayout } from "../run/index.js";
import type { MetricsRow } from "../train/index.js";
import type { Recipe } from "../recipe/index.js";
import {
  type Outlook,
  readEvaluation,
  readOutlook,
  type RunEvaluation,
} from "../evaluate/index.js";

/** What a run folder tells without its data and its network. */
export interface RunContents {
  readonly folder: string;
  /** the resolved configuration as it lies there */
  readonly config: unknown;
  readonly recipe: Recipe;
  /** the weights that it started from; undefined where they were drawn */
  readonly init: StartWeights | undefined;
  readonly rows: readonly MetricsRow[];
  /** images that could not be used in training, each once */
  readonly skipped: readonly SkippedImage[];
  readonly evaluation: RunEvaluation | undefined;
  /** where longer training leads by the same evaluation; undefined where nobody has looked */
  readonly outlook?: Outlook | undefined;
}

const startWeights = z.object({
  file: z.string(),
  side: z.string().optional(),
  parts: z.enum(["all", "backbone"]),
});
type StartWeights = z.output<typeof startWeights>;

/** Weights as `odis pretrain --init` names them. */
export function weightsText({ file, side, parts }: StartWeights): string {
  const words = [side, parts === "backbone" ? parts : undefined].filter(Boolean);
  return words.length > 0 ? `${file}#${words.join(".")}` : file;
}

export interface SkippedImage {
  readonly key: string;
  readonly reason: string;
}

/**
 * Reads a run folder; metrics and evaluation may be missing.
 *
 * @throws RunError when it is no run folder, or its evaluation is damaged
 */
export function readRun(folder: string): RunContents {
  const config = readRunConfig(folder);
  const layout = runLayout(folder);
  const skipped = readJsonLines(layout.skipped, skippedOf);
  const evaluation = readEvaluation(folder);
  return {
    folder,
    config,
    recipe: recipeOf(config, join(folder, "config.json")),
    init: z.object({ init: startWeights }).safeParse(config).data?.init,
    rows: readJsonLines(layout.metrics, rowOf),
    skipped: [...new Map(skipped.map((image) => [image.key, image])).values()],
    evaluation,
    outlook: readOutlook(folder, evaluation),
  };
}

/** What a row tells in numbers, whatever release wrote it. */
const numbers = [
  "epoch",
  "time",
  "imagesPerSecond",
  "dataWait",
  "loss",
  "cls",
  "object",
  "patch",
  "koleo",
  "teacherEntropy",
  "marginalEntropy",
  "kl",
  "similarityImages",
  "similarityViews",
  "similarityObjects",
  "gradNorm",
  "lr",
  "weightDecay",
  "teacherMomentum",
  "teacherTemperature",
  "patchTemperature",
  "absent",
] as const satisfies readonly Exclude<keyof MetricsRow, "step" | "tries">[];

type Numbers = { [Key in (typeof numbers)[number]]: number };

/** JSON has no NaN: what is not a number there was none. */
function rowOf(value: unknown): MetricsRow | undefined {
  if (!isRecord(value)) return undefined;
  const { step, tries } = value;
  if (typeof step !== "number" || !Number.isSafeInteger(step) || step < 0) return undefined;
  const number = (found: unknown): number => (typeof found === "number" ? found : Number.NaN);
  const read = Object.fromEntries(numbers.map((key) => [key, number(value[key])])) as Numbers;
  return { ...read, step, tries: Array.isArray(tries) ? tries.map(number) : [] };
}

function skippedOf(value: unknown): SkippedImage | undefined {
  if (!isRecord(value)) return undefined;
  const { key, reason } = value;
  if (typeof key !== "string") return undefined;
  return { key, reason: typeof reason === "string" ? reason : "" };
}

/** Images a second of the middle row: half of them were faster. NaN where no row tells. */
export function medianRate(rows: readonly MetricsRow[]): number {
  return median(rows, ({ imagesPerSecond }) => imagesPerSecond) ?? Number.NaN;
}

/** `ViT 384 wide, 12 blocks, 6 heads, patch 16` */
export function networkText({ model: { dim, depth, heads, patch } }: Recipe): string {
  return `ViT ${dim} wide, ${depth} blocks, ${heads} heads, patch ${patch}`;
}

/** `2 × 224 px + 10 × 96 px` */
export function viewsText({ views: { globals, locals } }: Recipe): string {
  const local = locals.count === 0 ? "" : ` + ${locals.count} × ${locals.size} px`;
  return `${globals.count} × ${globals.size} px${local}`;
}
