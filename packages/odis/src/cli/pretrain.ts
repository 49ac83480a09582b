import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { counted, exitCodes, OdisError, shellWord } from "../core/index.js";
import type { DataSpec } from "../data/index.js";
import { modelNames, recipeLayers, recipeNames, suitedTo } from "../recipe/index.js";
import { command, type Io } from "./command.js";
import { choice, flag, integer, list, number, path, text } from "./options.js";
import { evaluateAndReport } from "./evaluation.js";
import { threadsOption, workersOption } from "./limits.js";
import { processesOption, processesToStart } from "./processes.js";

export const pretrainCommand = command({
  name: "pretrain",
  isShared: true,
  summary: "Pretrain a Vision Transformer on images and their objects, or go on with a run.",
  examples: [
    [
      "odis pretrain --data photos",
      "whatever photos/ holds: chooses size and length, trains in runs/photos, evaluates, says what could come next",
    ],
    [
      "odis pretrain --data coco:data/scenes/train --out runs/first",
      "begin, or go on after an interruption",
    ],
    [
      "odis pretrain --data coco:photos --out runs/small --model vit-ti --batch 32 --steps 5000",
      "photos/images/ and photos/instances.json; a small network, a short run",
    ],
    [
      "odis pretrain --data coco:images,instances.json --out runs/b --config mine.json --set optim.lr=0.001",
      "settings from a file, one of them changed",
    ],
    [
      "odis pretrain --data coco:photos --out runs/both --processes 2",
      "the same with two processes; torchrun and srun start more of them",
    ],
    [
      "odis pretrain --data coco:photos --out runs/on --init ibot_vits16.pth",
      "trains on from published weights: odis import FILE says what is in them",
    ],
  ],
  options: {
    data: text({
      help: "data set: a folder or file, or KIND:PLACE; odis data kinds lists the kinds",
      placeholder: "PLACE",
      required: true,
    }),
    masks: path({
      help: "file of masks, as odis masks writes: its objects instead of the data set's own",
      exists: "file",
    }),
    out: path({
      help: "run folder; one that holds this very run is continued (default: runs/ and the place's name)",
    }),
    init: text({
      help: "weights that a new run starts from: .pth, safetensors, a folder of Hugging Face's, a run; #student, #backbone (default: the teacher's, heads where there are any)",
      placeholder: "FILE[#PART]",
    }),
    recipe: choice(recipeNames, { help: "method; odis recipes shows them", default: "odis" }),
    model: choice(modelNames, {
      help: "size of the network, with its hyperparameters (default: vit-s; where no option says anything of size or length, what suits data and device)",
    }),
    config: path({ help: "JSON file of settings, over the recipe", exists: "file" }),
    set: list({
      help: "one setting, over the file: --set optim.lr=0.001",
      placeholder: "PATH=VALUE",
    }),
    batch: integer({ help: "images in a step, optim.batch (default: the recipe's)", min: 1 }),
    steps: integer({
      help: "length of the run in steps, optim.steps (default: as many as --epochs)",
      min: 1,
    }),
    epochs: integer({
      help: "length of the run in passes over the data, optim.epochs (default: the recipe's)",
      min: 1,
    }),
    seed: integer({ help: "decides weights, order and views (default: 0)", min: 0 }),
    device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
    threads: threadsOption("; other numbers round differently"),
    workers: workersOption(),
    maxBad: number({
      help: "share of the images that may turn out unusable before the run ends (default: 0.05)",
      min: 0,
      max: 1,
    }),
    checkpointSteps: integer({
      help: "save every so many steps, besides every five minutes",
      min: 1,
    }),
    processes: processesOption(
      "train with so many processes of this machine; --batch is that of all together",
    ),
    patience: number({
      help: "seconds after which another process that does not answer is taken for gone (default: 20)",
      min: 1,
      max: 86_400,
    }),
    rendezvous: number({
      help: "seconds in which all processes have to come (default: 600)",
      min: 1,
      max: 86_400,
    }),
    acceptData: flag({ help: "go on with a run although its data has changed since it began" }),
    keep: integer({ help: "newest checkpoints that stay", default: 2, min: 1 }),
  },
  async run(values, io) {
    const { membershipOf, pretrain, runProcesses, runStands, Stop, duration } = await import(
      "../run/index.js"
    );
    const place = membershipOf();
    const processes = processesToStart(values.processes, place);
    const first = (place?.rank ?? 0) === 0;
    const [
      { loadConfigFile, settingsLayer },
      { resolveRecipe },
      { parseDataSpec },
      { checkSharing },
    ] = await Promise.all([
      import("../core/index.js"),
      import("../recipe/index.js"),
      import("../data/index.js"),
      import("../train/index.js"),
    ]);
    const { batch, steps, epochs, seed, out = runFolderOf(values.data) } = values;
    const own = parseDataSpec(values.data);
    const data = values.masks === undefined ? own : { ...own, masks: values.masks };
    const suited =
      saysNothing(values) && !(await isDefaultRun(out, values.recipe))
        ? await suitedToData(data, values)
        : undefined;
    const recipe = resolveRecipe([
      ...recipeLayers(values.recipe, suited?.model ?? values.model),
      ...(suited ? [{ source: "what suits the data", values: { optim: suited.optim } }] : []),
      ...(values.config === undefined ? [] : [loadConfigFile(values.config)]),
      {
        source: "command line",
        values: { ...given({ seed }), optim: given({ batch, steps, epochs }) },
      },
      settingsLayer(values.set),
    ]);
    if (processes > 1) {
      checkSharing(recipe, processes);
      return runProcesses({ count: processes, stands: () => runStands(out), tell: io.tell });
    }

    const say = (line: string): unknown => first && io.stderr.write(`${line}\n`);
    if (suited)
      say(
        `nothing was said of size and length, so it will be ${suited.model}, ${suited.optim.steps} steps of ` +
          `${suited.optim.batch} images, in ${out} (odis pretrain --help)`,
      );
    using stop = new Stop((signal) =>
      say(`\n${signal}: saving a checkpoint after this step. Once more Ctrl-C ends at once.`),
    );
    const { device, init, threads, workers, maxBad, checkpointSteps, keep, acceptData } = values;
    const { patience, rendezvous } = values;
    const result = await pretrain({
      ...given({ init, threads, workers, maxBad, checkpointSteps, patience, rendezvous }),
      place,
      recipe,
      data,
      out,
      device,
      keep,
      acceptData,
      stop,
      progress: io.stderr,
    });
    const { steps: done, totalSteps, finished, checkpoint, seconds, skipped } = result;
    io.tell({ finished });
    // Another process may be the one that was asked to stop.
    const code = finished ? exitCodes.ok : stop.exitCode || exitCodes.terminated;
    if (!first) return code;
    if (skipped.size > 0)
      io.print(
        `${counted(skipped.size, "image")} could not be used; named in ${out}/skipped.jsonl`,
      );
    if (!finished) {
      io.print(`stopped after step ${done} of ${totalSteps}; saved ${checkpoint}`);
      io.print(`go on with: ${io.commandLine}`);
      return code;
    }
    io.print(
      `finished ${totalSteps} steps in ${duration(seconds)}; newest checkpoint ${checkpoint}`,
    );
    if (suited) await evaluated(out, device, io);
    for (const line of await nextSteps(values.data, out)) io.print(line);
    return exitCodes.ok;
  },
});

/** The run folder of a place that nobody named one for: `coco:data/photos#limit=9` -> `runs/photos`. */
function runFolderOf(data: string): string {
  const place = data.replace(/#.*$/, "").replace(/^[a-z-]+:/, "");
  const name = basename(resolve(place.split(",")[0]!)).replaceAll(/[^\w.-]+/g, "-");
  return join("runs", name);
}

type Said = Readonly<
  Record<"model" | "config" | "batch" | "steps" | "epochs" | "init", unknown>
> & {
  readonly set: readonly string[];
};

/** Whether no option tells how large or long the run is to be, or what it must fit. */
const saysNothing = ({ model, config, batch, steps, epochs, init, set }: Said): boolean =>
  set.length === 0 && [model, config, batch, steps, epochs, init].every((one) => one === undefined);

/** Whether a run stands there that has the published values of its recipe: it goes on as it began. */
async function isDefaultRun(run: string, name: (typeof recipeNames)[number]): Promise<boolean> {
  const [{ readRunConfig, recipeOf }, { resolveRecipe }] = await Promise.all([
    import("../run/index.js"),
    import("../recipe/index.js"),
  ]);
  if (!existsSync(join(run, "config.json"))) return false;
  return isDeepStrictEqual(
    recipeOf(readRunConfig(run), run),
    resolveRecipe(recipeLayers(name, undefined)),
  );
}

async function suitedToData(
  data: DataSpec,
  { device, recipe }: { readonly device: string; readonly recipe: (typeof recipeNames)[number] },
) {
  const [{ checkDevice }, { openSource }] = await Promise.all([
    import("@odis/torch"),
    import("../data/index.js"),
  ]);
  checkDevice(device);
  return suitedTo((await openSource(data)).size, device, recipe);
}

/** Whoever asks for nothing is shown what came out; a data set that cannot be judged is no failure. */
async function evaluated(run: string, device: string, io: Io): Promise<void> {
  const { dataOf, readRunConfig } = await import("../run/index.js");
  const train = dataOf(readRunConfig(run));
  if (!train) return;
  try {
    await evaluateAndReport(run, { data: { train }, device, limit: 5000 }, io);
  } catch (error) {
    if (!(error instanceof OdisError)) throw error;
    io.print(`not evaluated: ${error.message}`);
  }
}

/** What could come next, for pictures in which nobody has marked anything but that were to teach of objects. */
async function nextSteps(named: string, run: string): Promise<string[]> {
  const [{ isBare }, { dataOf, readRunConfig }] = await Promise.all([
    import("../data/index.js"),
    import("../run/index.js"),
  ]);
  const data = dataOf(readRunConfig(run));
  if (!data || !isBare(data) || data["whole"] !== true) return [];
  const [place, from] = [shellWord(named), shellWord(run)];
  const masks = shellWord(`${run}-masks.json`);
  return [
    "Each picture counted as one object as a whole. What could come next:",
    `  odis masks ${place} --with cuts:${from} --out ${masks}`,
    "      finds objects by what was learned (--with a detector's NETWORK.onnx is better), and",
    `  odis pretrain --data ${place} --masks ${masks} --out ${shellWord(`${run}-objects`)}`,
    "      learns from them",
    `  odis bootstrap --data ${place} --out ${shellWord(`${run}-bootstrap`)}`,
    "      does both in turn",
    "  or mark objects yourself: labelme, CVAT and the like are read as they are (odis data kinds)",
  ];
}

/** Leaves out what was not given, so that it does not hide a setting of a lower layer. */
function given<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> };
function given(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
