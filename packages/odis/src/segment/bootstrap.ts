import { join } from "node:path";

export interface BootstrapOptions {
  /** the pictures, as the command line names them */
  readonly data: string;
  /** folder of all runs and masks */
  readonly out: string;
  /** how often objects are discovered and learnt from, after the warm-up */
  readonly rounds: number;
  readonly model: string;
  /** steps of the warm-up, and of each round's training */
  readonly warmup: number;
  readonly steps: number;
  /** options of every training: `--batch 32`, `--set optim.lr=0.001` */
  readonly training: readonly string[];
  /** options of every discovery: `--alike 0.3` */
  readonly discovery: readonly string[];
}

/** One command line of a bootstrap. */
export interface BootstrapStage {
  readonly title: string;
  /** what stands behind `odis` */
  readonly words: readonly string[];
  /** what it makes */
  readonly result: string;
  readonly kind: "train" | "discover";
}

/**
 * Learning of objects without anybody's masks: a warm-up on whole images (iBOT), objects as its
 * features part them, ODIS on those, and the same again with better features. Every stage is a
 * command line that goes on by itself, so the whole does.
 */
export function bootstrapStages(options: BootstrapOptions): BootstrapStage[] {
  const { data, out, rounds } = options;
  const warmup = join(out, "warm-up");
  const stages = [
    train("warm-up on whole images (iBOT)", "ibot", warmup, options.warmup, [], options),
    discover(1, warmup, options),
  ];
  for (let round = 1; round <= rounds; round += 1) {
    const run = join(out, `odis-${round}`);
    const more = ["--masks", masksOf(out, round), "--init", `${warmup}#backbone`];
    stages.push(
      train(`training on what was found (ODIS, round ${round})`, "odis", run, options.steps, more, {
        ...options,
        data,
      }),
      discover(round + 1, run, options),
    );
  }
  return stages;
}

const masksOf = (out: string, number: number): string => join(out, `masks-${number}.json`);

function train(
  title: string,
  recipe: string,
  run: string,
  steps: number,
  more: readonly string[],
  { data, model, training }: BootstrapOptions,
): BootstrapStage {
  const words = ["pretrain", "--data", data, "--out", run, "--recipe", recipe, "--model", model];
  return {
    title,
    words: [...words, "--steps", String(steps), ...more, ...training],
    result: run,
    kind: "train",
  };
}

function discover(
  number: number,
  run: string,
  { data, out, discovery }: BootstrapOptions,
): BootstrapStage {
  const result = masksOf(out, number);
  return {
    title: `discovery of objects by the features of ${run}`,
    words: ["masks", data, "--with", `cuts:${run}`, "--out", result, ...discovery],
    result,
    kind: "discover",
  };
}
