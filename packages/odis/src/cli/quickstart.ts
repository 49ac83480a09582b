import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exitCodes, plain, RunError, shellWord } from "../core/index.js";
import type { DataSpec } from "../data/index.js";
import { command, type Io } from "./command.js";
import { integer, number, path } from "./options.js";
import { threadsOption } from "./limits.js";
import { progressLine } from "./progress.js";

/** Share of the time that is kept for evaluating and the report. */
const RESERVED = 0.22;

export const quickstartCommand = command({
  name: "quickstart",
  summary: "The whole way in one command: make scenes, pretrain, evaluate, write a report.",
  examples: [
    ["odis quickstart", "about twelve minutes on two cores; run again to go on after Ctrl-C"],
    ["odis quickstart --minutes 60 --out runs/hour", "trains longer"],
  ],
  options: {
    minutes: number({ help: "time for everything", default: 12, min: 1 }),
    data: path({ help: "where the scenes are made, or were made before", default: "data/scenes" }),
    out: path({ help: "run folder", default: "runs/quickstart" }),
    seed: integer({ help: "decides weights, order and views", default: 0, min: 0 }),
    threads: threadsOption(),
  },
  async run({ minutes, data: folder, out, seed, threads }, io) {
    const began = performance.now();
    const [{ setThreads }, { makeScenes }, { runProcesses, runStands, duration }] =
      await Promise.all([
        import("@odis/torch"),
        import("../scenes/index.js"),
        import("../run/index.js"),
      ]);
    const cores = threads ?? availableParallelism();
    setThreads(cores);
    io.print(`1/4 scenes of product photographs in ${folder}`);
    const say = progressLine(io);
    const scenes = await makeScenes(folder, quickScenes, (made, all) =>
      say(made === all, () => `    scene ${made} of ${all}`),
    );
    const data = { train: scenes.train, test: scenes.test };

    const end = began + 60_000 * minutes * (1 - RESERVED);
    const processes = [32, 16, 8, 4, 2].find((many) => many <= cores) ?? 1;
    const words = await trainingWords({ out, seed, end, data: data.train, processes, cores, io });
    io.print(`2/4 pretraining: odis ${words.map(shellWord).join(" ")}`);
    const started = performance.now();
    const code = await runProcesses({
      count: processes,
      words: [program, ...words],
      stands: () => runStands(out),
      tell: () => undefined,
    });
    if (code !== exitCodes.ok) {
      if (code >= exitCodes.stopped) io.print(`or, with all that follows: ${io.commandLine}`);
      return code;
    }
    io.print(`    trained in ${duration((performance.now() - started) / 1000)}`);

    const [{ evaluateOutlook, evaluateRun }, { formatTable, formatVerdict, makeReport }] =
      await Promise.all([import("../evaluate/index.js"), import("../report/index.js")]);
    io.print("3/4 evaluating: which product is it? weighted k-NN on one feature an object");
    const progress = (who: string) => ({
      onProgress: (part: string, done: number, of: number) =>
        say(done === of, () => `    ${who}${part} image ${done} of ${of}`),
    });
    const evaluation = await evaluateRun(out, { data, limit: 2000, size: SIDE, ...progress("") });
    await evaluateOutlook(out, LONGER, progress(`${LONGER}, `));
    io.print("4/4 report");
    const { file, verdict } = await makeReport(out);
    io.print(`\n${formatVerdict(verdict)}\n\n${formatTable(evaluation)}\n`);
    io.print(`report: ${file}`);
    io.print(`all in ${duration((performance.now() - began) / 1000)}`);
    io.print(
      `\nWhat its features are good for:\n${(await whatNext(folder, out, data.test)).join("\n")}`,
    );
    return undefined;
  },
});

/** What is trained; its name is that of the recipe in the run's configuration. */
const method = {
  recipe: "odis-isolated",
  model: "vit-mini",
  name: "odis-isolated vit-mini",
} as const;

/** This very program. */
const program = fileURLToPath(new URL("./main.js", import.meta.url));

/** The network that shows where hours of the same lead. */
const LONGER = "vit-mini-scenes";

/** Side of evaluation images: training crops magnify, so that objects span as many patches as there. */
const SIDE = 80;

/** Command lines that make a store of the scenes nobody trained on, and look into it. */
async function whatNext(folder: string, run: string, test: DataSpec): Promise<readonly string[]> {
  const { openSource } = await import("../data/index.js");
  const { key, objects } = await (await openSource(test)).read(0);
  const { x, y, width, height } = objects.at(-1)!.box;
  const store = shellWord(`${run}-store`);
  const photo = shellWord(join(folder, "test", "images", key));
  return [
    `npx odis embed ${shellWord(run)} ${shellWord(`coco:${join(folder, "test")}`)} --size ${SIDE} --out ${store}`,
    `npx odis search ${store} ${photo} --box ${[x, y, width, height].join()} --sheet found.png`,
    `npx odis explore ${store}`,
  ];
}

/** Scenes that minutes can teach: the same objects and occlusion as the defaults, calmer colours. */
const quickScenes = {
  train: 12_000,
  test: 1_000,
  objects: [2, 4],
  scale: [0.35, 0.55],
  tint: 0.15,
  background: 0.15,
} as const;

interface Training {
  readonly out: string;
  readonly seed: number;
  /** when all steps are to be done, by `performance.now()` */
  readonly end: number;
  readonly data: DataSpec;
  /** they share the batch: one of its divisors */
  readonly processes: number;
  readonly cores: number;
  readonly io: Io;
}

/**
 * The command line that trains, with as many steps as the time allows, or those of the run that is
 * there already. Processes of few threads wait less for each other than many threads of one do.
 */
async function trainingWords({
  out,
  seed,
  end,
  data,
  processes,
  cores,
  io,
}: Training): Promise<readonly string[]> {
  const [{ dataText }, { readRunConfig, recipeOf, trialSpeed }] = await Promise.all([
    import("../data/index.js"),
    import("../run/index.js"),
  ]);
  const words = (own: number): string[] => [
    "pretrain",
    "--data",
    dataText(data),
    "--recipe",
    method.recipe,
    "--model",
    method.model,
    "--seed",
    `${own}`,
    "--processes",
    `${processes}`,
    "--threads",
    `${Math.floor(cores / processes)}`,
    // About a minute: of so short a run the usual five would be half.
    "--checkpoint-steps",
    "500",
  ];
  if (existsSync(join(out, "config.json"))) {
    io.print(
      `    goes on with the run in ${out}, with its own length and seed; --out begins another`,
    );
    const { name, seed: own, optim } = recipeOf(readRunConfig(out), out);
    if (name !== method.name || optim.steps === undefined)
      throw new RunError(
        `--out ${shellWord(out)}: holds a run of ${plain(name)}; odis quickstart trains ${method.name}. Give another folder`,
      );
    return [...words(own), "--out", out, "--steps", `${optim.steps}`];
  }
  const perSecond = await trialSpeed([program, ...words(seed)], processes);
  const left = (end - performance.now()) / 1000;
  const steps = Math.max(20, Math.floor(perSecond * left));
  io.print(`    this machine does ${perSecond.toFixed(2)} steps a second`);
  return [...words(seed), "--out", out, "--steps", `${steps}`];
}
