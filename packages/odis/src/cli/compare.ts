import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { exitCodes } from "../core/index.js";
import { modelNames } from "../recipe/index.js";
import { command } from "./command.js";
import { choice, integer, list, path, positional, text } from "./options.js";
import { threadsOption } from "./limits.js";

export const compareCommand = command({
  name: "compare",
  summary: "Train and evaluate several recipes at equal compute, and put the results side by side.",
  examples: [
    [
      "odis compare main --train coco:data/scenes/train --test coco:data/scenes/test --out compare/main",
      "the paper's systems, three seeds each; run again to go on after Ctrl-C",
    ],
    [
      "odis compare main … --out compare/first --steps 500 --seeds 1 --rows odis,ibot",
      "a quick look: short runs, one seed, two rows",
    ],
    [
      "odis compare mine.json --out compare/mine --set optim.lr=0.002",
      "rows of your own: see the README; a setting for all of them",
    ],
  ],
  options: {
    plan: positional(
      text({
        help: "main, ablation, locals, masks, sensitivity, multi, or a JSON file",
        placeholder: "PLAN",
        required: true,
      }),
    ),
    train: text({ help: "data to pretrain on, its objects vote", placeholder: "PLACE" }),
    test: text({ help: "data whose objects are classified", placeholder: "PLACE" }),
    out: path({
      help: "folder of all runs and results; continued if it is this comparison",
      required: true,
    }),
    rows: text({ help: "run only these rows of the plan", placeholder: "NAME,NAME" }),
    seeds: integer({ help: "seeds of every row: 0 to N-1 (default: the plan's)", min: 1 }),
    steps: integer({ help: "length of every run in steps (default: the plan's)", min: 1 }),
    batch: integer({ help: "images in a step, in every run (default: the plan's)", min: 1 }),
    model: choice(modelNames, { help: "size of the network, in every run (default: the plan's)" }),
    size: integer({
      help: "side of the network's input in evaluation, pixels (default: the plan's)",
      min: 1,
    }),
    limit: integer({
      help: "images read from each data set in evaluation (default: the plan's)",
      min: 1,
    }),
    set: list({
      help: "one setting in every run; what a row differs in stays",
      placeholder: "PATH=VALUE",
    }),
    device: text({ help: "cpu, cuda or cuda:1 (default: cpu)" }),
    threads: threadsOption(),
  },
  async run({ plan: name, rows, set, out, device, threads, ...changes }, io) {
    const [{ loadPlan, changePlan, compareRecipes, formatComparison }, { settingPaths }, { Stop }] =
      await Promise.all([
        import("../compare/index.js"),
        import("../core/index.js"),
        import("../run/index.js"),
      ]);
    const plan = changePlan(loadPlan(name), {
      ...changes,
      rows: rows?.split(","),
      set: settingPaths(set),
    });
    let child: ChildProcess | undefined;
    using stop = new Stop((signal) => {
      io.stderr.write(
        `\n${signal}: the run at work saves a checkpoint and ends. Once more Ctrl-C ends at once.\n`,
      );
      child?.kill(signal === "SIGPIPE" ? "SIGTERM" : signal);
    });
    using _held = stop.hold();
    const { comparison, finished, report, table } = await compareRecipes({
      plan,
      out,
      device,
      threads,
      program: fileURLToPath(new URL("./main.js", import.meta.url)),
      stop,
      onChild: (running) => {
        child = running;
      },
      progress: io.stderr,
    });
    const text = formatComparison(comparison);
    io.print(`\n${text}\n`);
    io.print(`report: ${report}\ntable:  ${table}`);
    if (finished) return exitCodes.ok;
    io.print(`stopped; go on with: ${io.commandLine}`);
    return stop.exitCode;
  },
});
