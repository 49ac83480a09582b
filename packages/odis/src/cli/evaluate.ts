import { choice, choices, command, integer, number, path, positional, text } from "./command.js";
import { runFolder } from "./run-folder.js";

export const evaluateCommand = command({
  name: "evaluate",
  summary: "Measure a run's frozen features against raw pixels and the untrained network.",
  examples: [
    [
      "odis evaluate runs/first --test coco:data/scenes/test",
      "the run's own data votes, other data is classified",
    ],
    [
      "odis evaluate runs/first --test coco:data/scenes/test --mode mask,none,crop,blackout",
      "four ways to ask for an object",
    ],
    [
      "odis evaluate runs/first --suite knn,linear,dense --masks box --mask-iou 0.7",
      "everything, with masks like those of a poor detector",
    ],
    ["odis evaluate runs/first", "without other data: a fifth of the run's images is held out"],
  ],
  options: {
    run: positional(
      text({
        help: "run folder (its newest checkpoint is taken), or a network that comes with odis",
        placeholder: "FOLDER",
        required: true,
      }),
    ),
    train: text({
      help: "data set whose objects vote (default: the run's own)",
      placeholder: "KIND:PLACE",
    }),
    test: text({ help: "data set whose objects are classified", placeholder: "KIND:PLACE" }),
    suite: choices(["knn", "linear", "dense", "attributes"], {
      help: "what is measured: k-NN, linear classifiers, segmentation by patches, or what features tell of objects beside their class",
      default: ["knn"],
    }),
    mode: choices(["mask", "none", "crop", "blackout"], {
      help: "how the network is asked for an object",
      default: ["mask", "none"],
    }),
    feature: choice(["token", "pooled"], {
      help: "what an object's feature is: the summary token, or the mean of patch tokens (default: what it was trained for)",
    }),
    baselines: choice(["yes", "no"], {
      help: "whether raw pixels and the untrained network are measured, too",
      default: "yes",
    }),
    k: integer({ help: "neighbours that vote, in the table", default: 20, min: 1 }),
    epochs: integer({
      help: "passes over the features in which linear classifiers are trained",
      default: 100,
      min: 1,
    }),
    size: integer({
      help: "side of the network's input, pixels (default: as in training)",
      min: 1,
    }),
    frame: choice(["whole", "center"], {
      help: "what is seen of an image: all of it, squeezed to a square, or its central square",
      default: "whole",
    }),
    limit: integer({ help: "images read from each data set at most", default: 5000, min: 1 }),
    minArea: number({
      help: "least share of the image that an object covers",
      default: 0,
      min: 0,
      max: 1,
    }),
    masks: choice(["truth", "box", "none"], {
      help: "the masks that networks are told: as annotated, their boxes, or none at all",
      default: "truth",
    }),
    maskIou: number({
      help: "boxes are displaced until they overlap with the true ones that much",
      default: 1,
      min: 0.1,
      max: 1,
    }),
    maskMissing: number({
      help: "chance of an object being overlooked; the whole image then stands in for it",
      default: 0,
      min: 0,
      max: 1,
    }),
    seed: integer({ help: "draws the intervals' images and the examples", default: 0, min: 0 }),
    device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
    threads: integer({ help: "threads of the engine (default: all cores)", min: 1 }),
  },
  async run({ run: word, train, test, k, threads, ...options }, io) {
    const run = await runFolder(word, io);
    const [{ parseDataSpec }, { dataOf, readRunConfig }, { ConfigError }] = await Promise.all([
      import("../data/index.js"),
      import("../run/index.js"),
      import("../core/index.js"),
    ]);
    const config = readRunConfig(run);
    const bank = train === undefined ? dataOf(config) : parseDataSpec(train);
    if (!bank)
      throw new ConfigError(`${run}: its config.json names no data. Give it with --train.`);
    const data = { train: bank, test: test === undefined ? undefined : parseDataSpec(test) };

    const [{ setThreads }, { defaultK, evaluateRun }, { writeReport, formatTable }] =
      await Promise.all([
        import("@odis/torch"),
        import("../evaluate/index.js"),
        import("../report/index.js"),
      ]);
    if (threads !== undefined) setThreads(threads);
    const evaluation = await evaluateRun(run, {
      ...options,
      data,
      suites: options.suite,
      modes: options.mode,
      baselines: options.baselines === "yes",
      probe: { epochs: options.epochs },
      masks: { kind: options.masks, iou: options.maskIou, missing: options.maskMissing },
      k: [k, ...defaultK.filter((other) => other !== k)],
      onProgress: (part, done, of) => {
        if (io.stderr.isTTY && (done % 20 === 0 || done === of))
          io.stderr.write(`\r${part}: ${done} of ${of} images${done === of ? "\n" : ""}`);
      },
    });
    io.print(formatTable(evaluation));
    const report = await writeReport(run, {
      onMissing: (part, reason) => io.stderr.write(`report without ${part}: ${reason}\n`),
    });
    io.print(`report: ${report}`);
    return undefined;
  },
});

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
