import { ConfigError, exitCodes } from "../core/index.js";
import { modelNames, recipeLayers, recipeNames } from "../recipe/index.js";
import { choice, command, flag, integer, list, number, path, text } from "./command.js";
import { threadsOption, workersOption } from "./limits.js";

export const pretrainCommand = command({
  name: "pretrain",
  summary: "Pretrain a Vision Transformer on images and their objects, or go on with a run.",
  examples: [
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
    out: path({ help: "run folder; one that holds this very run is continued", required: true }),
    init: text({
      help: "weights that a new run starts from: .pth, safetensors, a folder of Hugging Face's, a run; #student, #backbone (default: the teacher's, heads where there are any)",
      placeholder: "FILE[#PART]",
    }),
    recipe: choice(recipeNames, { help: "method; odis recipes shows them", default: "odis" }),
    model: choice(modelNames, {
      help: "size of the network, with its hyperparameters",
      default: "vit-s",
    }),
    config: path({ help: "JSON file of settings, over the recipe", exists: "file" }),
    set: list({
      help: "one setting, over the file: --set optim.lr=0.001",
      placeholder: "PATH=VALUE",
    }),
    batch: integer({ help: "images in a step (optim.batch)", min: 1 }),
    steps: integer({ help: "length of the run in steps (optim.steps)", min: 1 }),
    epochs: integer({ help: "length of the run in passes over the data (optim.epochs)", min: 1 }),
    seed: integer({ help: "decides weights, order and views", min: 0 }),
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
    processes: integer({
      help: "train with so many processes of this machine; --batch is that of all together",
      min: 1,
      max: 64,
    }),
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
    const { membershipOf, pretrain, runProcesses, Stop, duration } = await import(
      "../run/index.js"
    );
    const place = membershipOf();
    const processes = values.processes ?? 1;
    if (place && values.processes !== undefined && place.size !== processes)
      throw new ConfigError(
        `--processes: got ${processes}, but WORLD_SIZE says that this is one of ${place.size} processes; ` +
          `wanted one of them only`,
      );
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
    const { model, batch, steps, epochs, seed } = values;
    const optim = given({ batch, steps, epochs });
    const recipe = resolveRecipe([
      ...recipeLayers(values.recipe, model),
      ...(values.config === undefined ? [] : [loadConfigFile(values.config)]),
      { source: "command line", values: { ...given({ seed }), optim } },
      settingsLayer(values.set),
    ]);
    const own = parseDataSpec(values.data);
    const data = values.masks === undefined ? own : { ...own, masks: values.masks };

    if (processes > 1 && !place) {
      checkSharing(recipe, processes);
      return runProcesses({ count: processes, out: values.out, ...io });
    }

    const first = (place?.rank ?? 0) === 0;
    const say = (line: string): unknown => first && io.stderr.write(`\n${line}\n`);
    using stop = new Stop((signal) =>
      say(`${signal}: saving a checkpoint after this step. Once more Ctrl-C ends at once.`),
    );
    const { device, init, threads, workers, maxBad, checkpointSteps, keep, out, acceptData } =
      values;
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
      io.print(`${skipped.size} images could not be used; they are named in ${out}/skipped.jsonl`);
    if (!finished) {
      io.print(`stopped after step ${done} of ${totalSteps}; saved ${checkpoint}`);
      io.print(`go on with: ${io.commandLine}`);
      return code;
    }
    io.print(
      `finished ${totalSteps} steps in ${duration(seconds)}; newest checkpoint ${checkpoint}`,
    );
    return exitCodes.ok;
  },
});

/** Leaves out what was not given, so that it does not hide a setting of a lower layer. */
function given<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> };
function given(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
