import { statOf } from "../core/index.js";
import type { OptionType, OptionValue } from "../evaluate/index.js";
import { command } from "./command.js";
import {
  choice,
  choices,
  type CliOption,
  integer,
  list,
  number,
  path,
  positional,
  several,
  text,
} from "./options.js";
import { evaluateAndReport } from "./evaluation.js";
import { threadsOption } from "./limits.js";
import { processesOption, processesToStart } from "./processes.js";
import { runFolder } from "./run-folder.js";

export const evaluateCommand = command({
  name: "evaluate",
  isShared: true,
  summary: "Measure a run's frozen features against raw pixels and the untrained network.",
  examples: [
    [
      "odis evaluate runs/first --test coco:data/scenes/test",
      "the run's own data votes, other data is classified",
    ],
    [
      "odis evaluate runs/first --test coco:data/scenes/test --mode mask,isolated,none,crop",
      "four ways to ask for an object",
    ],
    [
      "odis evaluate runs/first --suite knn,linear,dense --masks box --mask-iou 0.7",
      "everything, with masks like those of a poor detector",
    ],
    ["odis evaluate runs/first", "without other data: a fifth of the run's images is held out"],
    [
      "odis evaluate runs/first --processes 2",
      "the same by two processes; torchrun and srun start more of them",
    ],
  ],
  async options() {
    const { evaluationOptions, defaultValue } = await import("../evaluate/index.js");
    const settings = Object.entries(evaluationOptions).map(([name, { help, type }]) => [
      name,
      { ...settingOption(type, help), fallback: defaultValue(name) },
    ]);
    return {
      run: positional(
        text({
          help: "run folder (its newest checkpoint is taken), or a network that comes with odis",
          placeholder: "FOLDER",
          required: true,
        }),
      ),
      train: text({
        help: "data set whose objects vote (default: the run's own)",
        placeholder: "PLACE",
      }),
      test: text({ help: "data set whose objects are classified", placeholder: "PLACE" }),
      ...(Object.fromEntries(settings) as Record<string, CliOption<OptionValue | undefined>>),
      processes: processesOption("share the images among so many processes of this machine"),
      device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
      threads: threadsOption("; other numbers round differently"),
    };
  },
  async run({ run: word, train, test, processes, device, threads, ...options }, io) {
    const [{ parseDataSpec }, runs, { ConfigError }] = await Promise.all([
      import("../data/index.js"),
      import("../run/index.js"),
      import("../core/index.js"),
    ]);
    const { dataOf, readRunConfig } = runs;
    const place = runs.membershipOf();
    const count = processesToStart(processes, place);
    const run = await runFolder(word, io);
    const config = readRunConfig(run);
    const bank = train === undefined ? dataOf(config) : parseDataSpec(train);
    if (!bank)
      throw new ConfigError(`${run}: its config.json names no data. Give it with --train.`);
    const data = { train: bank, test: test === undefined ? undefined : parseDataSpec(test) };

    const { evaluationFile, evaluationOptions, optionSettings, unreadOptions } = await import(
      "../evaluate/index.js"
    );
    const file = evaluationFile(run);
    const before = statOf(file)?.mtimeMs;
    const standing = {
      stands: () => {
        const now = statOf(file)?.mtimeMs;
        if (now === undefined) return undefined;
        if (now === before) return `${file} of an earlier evaluation stands`;
        return `${file} was written, its report may not be`;
      },
      advice: "Run the same line again; it starts anew.",
    };
    if (count > 1) return runs.runProcesses({ count, ...standing, tell: io.tell });
    if ((place?.rank ?? 0) === 0)
      for (const unread of unreadOptions(options)) io.stderr.write(`${unread}\n`);
    const settings = optionSettings(evaluationOptions, options);
    const patience = runs.sharedPatience;
    const sharing = { place, device, threads, ...standing, patience, progress: io.stderr };
    await evaluateAndReport(run, { ...settings, data }, io, (work) =>
      runs.shareWork(sharing, work),
    );
    return undefined;
  },
});

/** How a setting of an evaluation is given on the command line. */
function settingOption(type: OptionType, help: string): CliOption<OptionValue | undefined> {
  if (type.kind === "number") {
    const one = (type.whole ? integer : number)({ help, ...type });
    return type.many ? several(one) : one;
  }
  if (type.kind === "texts") return list({ help, placeholder: type.placeholder });
  const made = type.many ? choices(type.of, { help, default: [] }) : choice(type.of, { help });
  return type.told ? { ...made, choices: [] } : made;
}

export const reportCommand = command({
  name: "report",
  summary: "Write a run's report: one HTML file with curves, scores and pictures.",
  examples: [
    ["odis report runs/first", "writes runs/first/report.html; also while the run goes on"],
  ],
  options: {
    run: positional(path({ help: "run folder", exists: "folder", required: true })),
  },
  async run({ run }, io) {
    const { writeReport } = await import("../report/index.js");
    const report = await writeReport(run, {
      onMissing: (part, reason) => io.stderr.write(`report without ${part}: ${reason}\n`),
    });
    io.print(report);
    return undefined;
  },
});
