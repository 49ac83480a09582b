import { shellWord } from "../core/index.js";
import { command, type Io, UsageError } from "./command.js";
import { flag, integer, path, positional, text } from "./options.js";
import { threadsOption } from "./limits.js";
import { imageProgress } from "./progress.js";

export const exploreCommand = command({
  name: "explore",
  summary: "Look at a store in a browser: its objects, what is like them, where, and why.",
  examples: [
    ["odis explore stores/photos", "prints an address for this machine's browser; Ctrl-C ends it"],
    [
      "odis explore stores/photos --static page",
      "a folder for any web server: visitors search with photographs of their own, too",
    ],
  ],
  options: {
    store: positional(path({ help: "made by odis embed", exists: "folder", required: true })),
    port: integer({ help: "where it is served", default: 8017, min: 0, max: 65_535 }),
    static: path({
      help: "write the page as files into a new folder, with the network and what runs it in browsers",
    }),
    browseOnly: flag({
      help: "with --static: without the network; visitors look at what is there, and load less",
    }),
    run: text({ help: "the run that made the store, if it has moved", placeholder: "FOLDER" }),
    device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
    threads: threadsOption(),
  },
  async run({ store: folder, port, static: out, browseOnly, run, device, threads }, io) {
    if (browseOnly && out === undefined)
      throw new UsageError("--browse-only: says how files are written; give --static FOLDER, too");
    const [{ openStore }, { serveStore }, { setThreads }] = await Promise.all([
      import("../search/index.js"),
      import("../explore/index.js"),
      import("@odis/torch"),
    ]);
    if (threads !== undefined) setThreads(threads);
    const store = openStore(folder, { run, device });
    if (out !== undefined) {
      using _store = store;
      return write(store, out, browseOnly, io);
    }
    const { url } = await serveStore(store, port);
    io.print(`${url}    (this machine only; Ctrl-C ends it)`);
    return new Promise<never>(() => undefined); // the server keeps the process alive
  },
});

type Store = ReturnType<typeof import("../search/index.js").openStore>;

async function write(
  store: Store,
  out: string,
  browseOnly: boolean,
  io: Io,
): Promise<number | undefined> {
  const [{ writeLibrary }, { duration, Stop }] = await Promise.all([
    import("../explore/index.js"),
    import("../run/index.js"),
  ]);
  using stop = new Stop((signal) => io.stderr.write(`\n${signal}: ends after this image.\n`));
  using _held = stop.hold();
  const progress = imageProgress(io, duration);
  const onProgress = (done: number, of: number, objects: number): void =>
    progress({ done, of, objects, skipped: 0 });
  const written = await writeLibrary(store, { out, browseOnly, stop, onProgress });
  if (!written) {
    io.print(`stopped; nothing was kept. Once more: ${io.commandLine}`);
    return stop.exitCode;
  }
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const network = browseOnly
    ? "without the network"
    : `${megabytes(written.network)} of it the network and what runs it, loaded when a visitor searches`;
  io.print(
    `${out}: ${store.size("objects")} objects in ${store.size("images")} images, ` +
      `${megabytes(written.bytes)} (${network})`,
  );
  io.print(
    `any web server shows it, in any folder; here: python3 -m http.server --bind 127.0.0.1 --directory ${shellWord(out)} 8018`,
  );
  return undefined;
}
