import { plain, shellWord } from "../core/index.js";
import { command } from "./command.js";
import { choice, flag, integer, path, positional, text } from "./options.js";
import { longestSide, threadsOption } from "./limits.js";
import { imageProgress } from "./progress.js";

export const embedCommand = command({
  name: "embed",
  summary: "Give every object and image of a library its vector, for search and explore.",
  examples: [
    [
      "odis embed runs/first coco:photos --out stores/photos",
      "makes a store; once more: adds new images",
    ],
    [
      "odis embed runs/first coco:photos --out stores/photos --prune",
      "drops images that are gone, too",
    ],
    [
      "odis embed runs/first coco:photos --out stores/photos --index",
      "for libraries of 100,000 objects and more",
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
      prune: flag({ help: "drop images that the library has no more" }),
      index: flag({ help: "make an approximate index of the objects, and measure its recall" }),
      device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
      threads: threadsOption(),
    };
  },
  async run({ run, data, out, size, frame, prune, index, device, threads }, io) {
    const [{ dataText, openSource, parseDataSpec }, { duration, Stop }, { setThreads }, search] =
      await Promise.all([
        import("../data/index.js"),
        import("../run/index.js"),
        import("@odis/torch"),
        import("../search/index.js"),
      ]);
    if (threads !== undefined) setThreads(threads);
    const spec = parseDataSpec(data);
    const made = search.readManifest(out)?.model;
    const source = await openSource(spec);
    io.stderr.write(`${source.summary}\n`);
    const { teacher, model } = search.loadModel(run, {
      size: size ?? made?.size,
      frame: frame ?? made?.frame,
      device,
    });
    using _teacher = teacher;
    using stop = new Stop((signal) =>
      io.stderr.write(`\n${signal}: ends after this image; whole parts are kept.\n`),
    );
    using _held = stop.hold();
    const done = await search.embed({
      teacher,
      model,
      source,
      place: dataText(spec),
      out,
      prune,
      stop,
      onProgress: imageProgress(io, duration),
    });
    for (const reason of done.reasons) io.stderr.write(`${plain(reason)}\n`);
    if (!done.finished) {
      io.print(`stopped after ${done.done} of ${done.of} images; go on with: ${io.commandLine}`);
      return stop.exitCode;
    }
    using store = search.openStore(out);
    const rest = [
      ...(done.dropped > 0 ? [`${done.dropped} images dropped`] : []),
      ...(done.skipped > 0 ? [`${done.skipped} images could not be used`] : []),
      ...(done.unseen > 0 ? [`${done.unseen} objects are too small to be seen`] : []),
    ];
    io.print(
      `${out}: ${store.size("objects")} objects in ${store.size("images")} images, ` +
        `${done.done - done.skipped} images added${rest.map((part) => `, ${part}`).join("")}`,
    );
    if (index) {
      const entry = search.makeIndex(store, { threads });
      if (entry)
        io.print(
          `index of ${entry.objects} objects: finds ${(100 * entry.recall).toFixed(1)} % of the ten nearest ` +
            `(${entry.tried} objects tried)`,
        );
    }
    io.print(
      `odis search ${shellWord(out)} PHOTO.jpg    more like it, or like --box x,y,w,h of it`,
    );
    return undefined;
  },
});
