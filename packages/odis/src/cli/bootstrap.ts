import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { counted, exitCodes, OdisError, shellWord } from "../core/index.js";
import { modelNames } from "../recipe/index.js";
import { command, type Io } from "./command.js";
import { choice, integer, list, number, path, text } from "./options.js";

export const bootstrapCommand = command({
  name: "bootstrap",
  summary: "Learn from photographs without masks: warm up, discover objects, train on them, again.",
  examples: [
    [
      "odis bootstrap --data photos --out runs/boot --model vit-ti --warmup 5000 --steps 5000",
      "iBOT, objects as its features part them, ODIS on those, objects again",
    ],
  ],
  options: {
    data: text({
      help: "the pictures: a data set as odis pretrain --data takes it; masks that it has are not used",
      placeholder: "PLACE",
      required: true,
    }),
    out: path({ help: "folder of all runs and masks; run again to go on", required: true }),
    model: choice(modelNames, { help: "size of the network", default: "vit-s" }),
    warmup: integer({ help: "steps of the warm-up", default: 5000, min: 1 }),
    steps: integer({ help: "steps of each round's training", default: 5000, min: 1 }),
    rounds: integer({ help: "trainings on discovered objects", default: 1, min: 1, max: 20 }),
    batch: integer({ help: "images in a step (default: the recipe's)", min: 1 }),
    seed: integer({ help: "decides weights, order and views (default: 0)", min: 0 }),
    set: list({ help: "one setting in every training", placeholder: "PATH=VALUE" }),
    most: integer({ help: "most objects in a picture (default: the maker's)", min: 1, max: 100 }),
    alike: number({
      help: "cosine above which two patches are alike (default: the maker's)",
      min: -1,
      max: 1,
    }),
    size: integer({
      help: "side of the input for discovery, pixels (default: twice the views')",
      min: 16,
    }),
    device: text({ help: "cpu, cuda or cuda:1 (default: cpu)" }),
    threads: integer({ help: "threads of the engine (default: all cores)", min: 1 }),
  },
  async run(values, io) {
    const [{ bootstrapStages }, { runChild }, { Stop }] = await Promise.all([
      import("../segment/index.js"),
      import("../compare/index.js"),
      import("../run/index.js"),
    ]);
    const { data, out, model, warmup, steps, rounds, batch, seed, set, device, threads } = values;
    const { most, alike, size } = values;
    const shared = words({ device, threads });
    const stages = bootstrapStages({
      data,
      out,
      model,
      warmup,
      steps,
      rounds,
      training: [...words({ batch, seed }), ...set.flatMap((one) => ["--set", one]), ...shared],
      discovery: [...words({ most, alike, size }), ...shared],
    });
    let child: ChildProcess | undefined;
    using stop = new Stop((signal) => {
      io.stderr.write(`\n${signal}: the stage at work saves what it has and ends.\n`);
      child?.kill(signal);
    });
    using _held = stop.hold();
    for (const [index, stage] of stages.entries()) {
      io.print(`${index + 1}/${stages.length} ${stage.title}`);
      io.print(`    odis ${stage.words.map(shellWord).join(" ")}`);
      const ended = await runChild({
        program: fileURLToPath(new URL("./main.js", import.meta.url)),
        words: stage.words,
        onLine: (line) => io.stderr.write(`    ${line}\n`),
        onStart: (started) => {
          child = started;
        },
      });
      if ((await stop.requested()) || (ended.code === exitCodes.ok && !ended.report.finished)) {
        io.print(`stopped; go on with: ${io.commandLine}`);
        return stop.exitCode;
      }
      if (ended.code !== exitCodes.ok)
        throw new OdisError(
          `stage ${index + 1} failed: ${ended.complaint.at(-1) ?? `ended by ${ended.signal ?? `code ${ended.code}`}`}`,
          ended.code ?? exitCodes.internal,
        );
      if (stage.kind === "discover") await judge(data, stage.result, io);
    }
    io.print(`done: ${stages.map(({ result }) => result).join(", ")}`);
    return exitCodes.ok;
  },
});

/** Options of a command line; what is undefined is left to its default. */
function words(options: Readonly<Record<string, number | string | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
}

/** Says how the objects agree with annotations, where there are some. */
async function judge(data: string, masks: string, io: Io): Promise<void> {
  const [{ openSource, parseDataSpec, surveyObjects }, { evaluateMasks }, { percent }] =
    await Promise.all([
      import("../data/index.js"),
      import("../segment/index.js"),
      import("../report/index.js"),
    ]);
  const source = await openSource(parseDataSpec(data));
  if ((surveyObjects(source, 0)?.objects ?? 0) === 0) return;
  const { figures, found, images } = await evaluateMasks(masks, source);
  const figure = (name: "overlap" | "recall" | "corLoc") => percent(figures[name].value);
  io.print(
    `    ${counted(found, "object")} in ${counted(images, "annotated image")}: best overlap ${figure("overlap")} %, ` +
      `recall ${figure("recall")} %, CorLoc ${figure("corLoc")} %`,
  );
}
