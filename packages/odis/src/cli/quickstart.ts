import { join } from "node:path";
import type { DataSpec } from "../data/index.js";
import type { Recipe } from "../recipe/index.js";
import { shellWord } from "../core/index.js";
import { command, type Io } from "./command.js";
import { integer, number, path } from "./options.js";
import { threadsOption } from "./limits.js";

/** Share of the time that is kept for measuring speed, evaluating and the report. */
const RESERVED = 0.2;

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
    const [{ setThreads }, { makeScenes }, { pretrain, Stop, duration }] = await Promise.all([
      import("@odis/torch"),
      import("../scenes/index.js"),
      import("../run/index.js"),
    ]);
    if (threads !== undefined) setThreads(threads);
    io.print(`1/4 scenes of product photographs in ${folder}`);
    const scenes = await makeScenes(folder, quickScenes, (made, all) =>
      count(io, "scene", made, all),
    );
    const data = { train: scenes.train, test: scenes.test };

    const seconds = 60 * minutes * (1 - RESERVED) - (performance.now() - began) / 1000;
    const recipe = await recipeFor({ out, seed, seconds, data: data.train, io });
    io.print(`2/4 pretraining for ${recipe.optim.steps} steps in ${out}`);
    using stop = new Stop((signal) => io.stderr.write(`\n${signal}: saving after this step\n`));
    const run = await pretrain({ recipe, data: data.train, out, stop, progress: io.stderr });
    if (!run.finished) {
      io.print(`stopped after step ${run.steps} of ${run.totalSteps}; saved ${run.checkpoint}`);
      io.print(`go on with: ${io.commandLine}`);
      return stop.exitCode;
    }
    io.print(`    trained in ${duration(run.seconds)}`);

    const [{ evaluateRun }, { formatTable, formatVerdict, makeReport }] = await Promise.all([
      import("../evaluate/index.js"),
      import("../report/index.js"),
    ]);
    io.print("3/4 evaluating: which product is it? weighted k-NN on one feature an object");
    const evaluation = await evaluateRun(out, {
      data,
      limit: 2000,
      size: SIDE,
      onProgress: (part, done, of) => count(io, `${part} image`, done, of),
    });
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

/** The recipe with as many steps as the time allows, or that of the run that is there already. */
async function recipeFor({
  out,
  seed,
  seconds,
  data,
  io,
}: {
  out: string;
  seed: number;
  seconds: number;
  data: { kind: "coco"; images: string; annotations: string };
  io: Io;
}): Promise<Recipe> {
  const [
    { existsSync },
    { resolveRecipe, recipeLayers },
    { measureSpeed, readRunConfig, recipeOf },
  ] = await Promise.all([
    import("node:fs"),
    import("../recipe/index.js"),
    import("../run/index.js"),
  ]);
  if (existsSync(join(out, "config.json"))) {
    io.print(
      `    goes on with the run in ${out}, with its own length and seed; --out begins another`,
    );
    return recipeOf(readRunConfig(out), out);
  }
  const layers = [...recipeLayers("odis", "vit-mini"), { source: "--seed", values: { seed } }];
  const perSecond = await measureSpeed({ recipe: resolveRecipe(layers), data }, 10);
  const steps = Math.max(20, Math.floor(perSecond * seconds));
  io.print(`    this machine does ${perSecond.toFixed(2)} steps a second`);
  return resolveRecipe([...layers, { source: "--minutes", values: { optim: { steps } } }]);
}

/** A count that is rewritten on a terminal and silent elsewhere. */
function count(io: Io, what: string, done: number, of: number): void {
  if (!io.stderr.isTTY || (done % 50 !== 0 && done !== of)) return;
  io.stderr.write(`\r    ${what} ${done} of ${of}${done === of ? "\n" : ""}`);
}
