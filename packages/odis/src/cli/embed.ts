import { counted, exitCodes, grouped, plain, shellWord } from "../core/index.js";
import type { Frame } from "../portable/index.js";
import type { Stop } from "../run/index.js";
import type { Embedded } from "../search/index.js";
import type { World } from "../train/index.js";
import { command, type Io } from "./command.js";
import { choice, flag, integer, path, positional, text } from "./options.js";
import { longestSide, threadsOption } from "./limits.js";
import { embedReportCommand } from "./embed-report.js";
import { processesOption, processesToStart } from "./processes.js";
import { imageProgress } from "./progress.js";

export const embedCommand = command({
  name: "embed",
  isShared: true,
  summary: "Give every object and image of a library its vector, for search and explore.",
  examples: [
    [
      "odis embed runs/first coco:photos --out stores/photos",
      "makes a store; once more: adds new images, or goes on",
    ],
    [
      "odis embed runs/first coco:photos --out stores/photos --prune",
      "drops images that are gone, too",
    ],
    [
      "odis embed runs/first coco:photos --out stores/photos --index",
      "for libraries of 100,000 objects and more",
    ],
    [
      "odis embed runs/first coco:photos --out stores/photos --processes 2 --threads 1",
      "the same store by two processes; torchrun and srun start more of them",
    ],
  ],
  options: async () => {
    const { frames } = await import("../portable/index.js");
    return {
      run: positional(
        text({
          help: "run folder (its newest checkpoint), a checkpoint, an export of odis, or a network that comes with odis",
          placeholder: "FOLDER",
          required: true,
        }),
      ),
      data: positional(text({ help: "the library", placeholder: "PLACE", required: true })),
      out: path({ help: "folder of the store", required: true }),
      size: integer({
        help: "side of the network's input, pixels (default: the store's, or the recipe's global views)",
        min: 1,
        max: longestSide,
      }),
      frame: choice(frames, { help: "what is seen of an image (default: the store's, or whole)" }),
      patches: flag({
        help: "keep every image's patch features, too, as float16; says first how much that is",
      }),
      prune: flag({ help: "drop images that the library has no more" }),
      index: flag({ help: "make an approximate index of the objects, and measure its recall" }),
      processes: processesOption("share the images among so many processes of this machine"),
      device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
      threads: threadsOption("; other numbers round differently"),
    };
  },
  inner: [embedReportCommand],
  async run({ run, data, out, processes, device, threads, ...values }, io) {
    const [runs, search] = await Promise.all([
      import("../run/index.js"),
      import("../search/index.js"),
    ]);
    const place = runs.membershipOf();
    const stands = () => search.storeStands(out);
    const count = processesToStart(processes, place);
    if (count > 1) return runs.runProcesses({ count, stands, tell: io.tell });
    const isFirst = (place?.rank ?? 0) === 0;
    using stop = new runs.Stop((signal) => {
      if (isFirst)
        io.stderr.write(`\n${signal}: ends after what is being computed, and keeps it.\n`);
    });
    const patience = runs.sharedPatience;
    const done = await runs.shareWork(
      { place, device, threads, stands, patience, progress: io.stderr },
      (world, own) => embedPlace({ run, data, out, ...values }, world, own, stop, io),
    );
    // Another process may be the one that was asked to stop.
    const code = done.finished ? exitCodes.ok : stop.exitCode || exitCodes.terminated;
    if (!isFirst) return code;
    for (const reason of done.reasons) io.stderr.write(`${plain(reason)}\n`);
    if (!done.finished) {
      io.print(
        `stopped after ${grouped(done.done)} of ${counted(done.of, "image")}, which are kept; go on with: ${io.commandLine}`,
      );
      return code;
    }
    await conclude(done, out, { index: values.index, threads }, io);
    return code;
  },
});

interface Asked {
  readonly run: string;
  readonly data: string;
  readonly out: string;
  readonly size: number | undefined;
  readonly frame: Frame | undefined;
  readonly patches: boolean | undefined;
  readonly prune: boolean | undefined;
}

/** This process's part. */
async function embedPlace(
  { run, data, out, size, frame, patches, prune }: Asked,
  world: World,
  device: string,
  stop: Stop,
  io: Io,
): Promise<Embedded> {
  const [{ dataText, openSource, parseDataSpec, withWholes }, { duration }, search] =
    await Promise.all([
      import("../data/index.js"),
      import("../run/index.js"),
      import("../search/index.js"),
    ]);
  const isFirst = world.rank === 0;
  const opened = async () => {
    const spec = withWholes(parseDataSpec(data));
    search.checkOwn(out);
    const made = search.readManifest(out)?.model;
    const source = await openSource(spec);
    if (isFirst) io.stderr.write(`${source.summary}\n`);
    const wanted = { size: size ?? made?.size, frame: frame ?? made?.frame, device };
    return { spec, source, ...search.loadModel(run, wanted) };
  };
  const { spec, source, teacher, model } = await world.together(opened());
  using _teacher = teacher;
  // Only now: what waits for the others, or opens, asks nobody whether to stop.
  using _held = stop.hold();
  return await search.embed({
    teacher,
    model,
    source,
    place: dataText(spec),
    out,
    // A flag that nobody gave is false: then it is as the store has it.
    patches: patches || undefined,
    prune,
    world,
    stop,
    onNote: isFirst ? (note) => io.stderr.write(`${note}\n`) : undefined,
    onProgress: isFirst ? imageProgress(io, duration) : undefined,
  });
}

/** Says what came out, makes the index if there is to be one, and names what could come next. */
async function conclude(
  done: Embedded,
  out: string,
  { index, threads }: { readonly index: boolean | undefined; readonly threads: number | undefined },
  io: Io,
): Promise<void> {
  const search = await import("../search/index.js");
  using store = search.openStore(out);
  const rest = [
    ...(done.dropped > 0 ? [`${counted(done.dropped, "image")} dropped`] : []),
    ...(done.skipped > 0 ? [`${counted(done.skipped, "image")} could not be used`] : []),
    ...(done.unseen > 0
      ? [`${counted(done.unseen, "object is", "objects are")} too small to be seen`]
      : []),
  ];
  io.print(
    `${out}: ${counted(store.size("objects"), "object")} in ${counted(store.size("images"), "image")}, ` +
      `${counted(done.done - done.skipped, "image")} added${rest.map((part) => `, ${part}`).join("")}`,
  );
  if (index) {
    const entry = search.makeIndex(store, { threads });
    if (entry)
      io.print(
        `index of ${entry.objects} objects: finds ${(100 * entry.recall).toFixed(1)} % of the ten nearest ` +
          `(${entry.tried} objects tried)`,
      );
  }
  io.print(`odis search ${shellWord(out)} PHOTO.jpg    more like it, or like --box x,y,w,h of it`);
}
