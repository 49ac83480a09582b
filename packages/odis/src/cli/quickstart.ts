import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exitCodes, shellWord } from "../core/index.js";
import type { DataSpec } from "../data/index.js";
import { command, type Io } from "./command.js";
import { integer, number, path } from "./options.js";
import { threadsOption } from "./limits.js";

/** Share of the time that is kept for measuring speed, evaluating and the report. */
const RESERVED = 0.3;

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
    const scenes = await makeScenes(folder, quickScenes, (made, all) =>
      count(io, "scene", made, all),
    );
    const data = { train: scenes.train, test: scenes.test };

    const seconds = 60 * minutes * (1 - RESERVED) - (performance.now() - began) / 1000;
    const processes = [8, 4, 2].find((many) => many <= cores) ?? 1;
    const words = await trainingWords({ out, seed, seconds, data: data.train, processes, io });
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
        count(io, `${who}${part} image`, done, of),
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
  /** time for all steps */
  readonly seconds: number;
  readonly data: DataSpec;
  readonly processes: number;
  readonly io: Io;
}

/**
 * The command line that trains, with as many steps as the time allows, or those of the run that is
 * there already. A process a core, of one thread each, waits less than threads of one process do.
 */
async function trainingWords({
  out,
  seed,
  seconds,
  data,
  processes,
  io,
}: Training): Promise<readonly string[]> {
  const [{ dataText }, { readRunConfig, recipeOf, trialSpeed }] = await Promise.all([
    import("../data/index.js"),
    import("../run/index.js"),
  ]);
  const method = ["--recipe", "odis", "--model", "vit-mini"];
  const words = (own: number): string[] => [
    "pretrain",
    "--data",
    dataText(data),
    ...method,
    "--seed",
    `${own}`,
    "--processes",
    `${processes}`,
    "--threads",
    "1",
  ];
  if (existsSync(join(out, "config.json"))) {
    io.print(
      `    goes on with the run in ${out}, with its own length and seed; --out begins another`,
    );
    const begun = recipeOf(readRunConfig(out), out);
    return [...words(begun.seed), "--out", out, "--steps", `${begun.optim.steps}`];
  }
  const perSecond = await trialSpeed([program, ...words(seed)], processes);
  const steps = Math.max(20, Math.floor(perSecond * seconds));
  io.print(`    this machine does ${perSecond.toFixed(2)} steps a second`);
  return [...words(seed), "--out", out, "--steps", `${steps}`];
}

/** A count that is rewritten on a terminal and silent elsewhere. */
function count(io: Io, what: string, done: number, of: number): void {
  if (!io.stderr.isTTY || (done % 50 !== 0 && done !== of)) return;
  io.stderr.write(`\r    ${what} ${done} of ${of}${done === of ? "\n" : ""}`);
}
