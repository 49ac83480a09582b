import { counted, grouped, plain, RunError, shellWord, statOf } from "../core/index.js";
import { command, type Io, UsageError } from "./command.js";
import { flag, integer, path, positional, text } from "./options.js";
import { threadsOption } from "./limits.js";
import { imageProgress } from "./progress.js";

/** Unless somebody says another: where it is served, and how many of a run's images are embedded. */
const [PORT, LIMIT] = [8017, 1000];

export const exploreCommand = command({
  name: "explore",
  summary: "Look at a library in a browser: its objects, what is like them, where, and why.",
  examples: [
    ["odis explore stores/photos", "prints an address for this machine's browser; Ctrl-C ends it"],
    ["odis explore runs/first", "embeds some of the run's own images first"],
    ["odis explore stores/photos stores/photos-dinov2", "two networks side by side"],
    [
      "odis explore stores/photos --static page",
      "a folder for any web server: visitors search with photographs of their own, too",
    ],
  ],
  options: {
    store: positional(
      text({ help: "made by odis embed; or a run", placeholder: "STORE", required: true }),
    ),
    other: positional(
      path({
        help: "another network's store of the same library, searched beside",
        exists: "folder",
      }),
    ),
    port: integer({ help: `where it is served (default: ${PORT})`, min: 0, max: 65_535 }),
    static: path({
      help: "write the page as files into a new folder, with the network and what runs it in browsers",
    }),
    browseOnly: flag({
      help: "with --static: without the network; visitors look at what is there, and load less",
    }),
    limit: integer({
      help: `of a run's images, how many are embedded (default: ${LIMIT})`,
      min: 1,
    }),
    run: text({ help: "the run that made STORE, if it has moved", placeholder: "FOLDER" }),
    device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
    threads: threadsOption(),
  },
  async run(
    { store: word, other, port, static: out, browseOnly, limit, run, device, threads },
    io,
  ) {
    if (browseOnly && out === undefined)
      throw new UsageError("--browse-only: says how files are written; give --static FOLDER, too");
    if (other !== undefined && out !== undefined)
      throw new UsageError("--static: writes the page of one store; got two");
    if (port !== undefined && out !== undefined)
      throw new UsageError("--port: says where it is served; --static writes files");
    if (limit !== undefined && isStore(word))
      throw new UsageError(
        `--limit: says how many of a run's images are embedded; ${plain(word)} is a store`,
      );
    const [{ openStore }, explore, { setThreads }] = await Promise.all([
      import("../search/index.js"),
      import("../explore/index.js"),
      import("@odis/torch"),
    ]);
    if (threads !== undefined) setThreads(threads);
    // Before a run is embedded, which takes a while.
    if (out !== undefined) explore.checkLibrary({ out, browseOnly });
    const beside = other === undefined ? undefined : openStore(other, { device });
    const found = await storeOf(word, limit ?? LIMIT, device, io);
    if ("exitCode" in found) return found.exitCode;
    const store = openStore(found.store, { run: run ?? found.run, device });
    store.checkSome("objects");
    if (out !== undefined) {
      using _store = store;
      return write(store, out, browseOnly, io);
    }
    const { url } = await explore.serveStore(store, {
      port: port ?? PORT,
      beside: beside && explore.besideStore(store, beside),
    });
    io.print(`${url}    (this machine only; Ctrl-C ends it)`);
    return new Promise<never>(() => undefined); // the server keeps the process alive
  },
});

type Store = ReturnType<typeof import("../search/index.js").openStore>;

const isStore = (word: string): boolean => statOf(`${word}/store.json`) !== undefined;

/** The store that a word means; a run's own, with what made it, is made first, unless that was stopped. */
async function storeOf(
  word: string,
  limit: number,
  device: string,
  io: Io,
): Promise<{ readonly store: string; readonly run?: string } | { readonly exitCode: number }> {
  const { duration, shippedFile, Stop } = await import("../run/index.js");
  if (isStore(word)) return { store: word };
  if (!statOf(`${word}/config.json`)) throw nothingToExplore(word, shippedFile(word) !== undefined);
  const { runStore } = await import("../explore/index.js");
  using stop = new Stop((signal) =>
    io.stderr.write(`\n${signal}: ends after this image; whole parts are kept.\n`),
  );
  using _held = stop.hold();
  const { path, checkpoint, embedded } = await runStore(word, {
    limit,
    device,
    stop,
    onProgress: imageProgress(io, duration),
    onBegin: (data, out) =>
      io.stderr.write(
        `${plain(word)} is a run: the first images of its data set ${plain(data)}, ${limit} at most, are embedded ` +
          `once into ${plain(out)}, all of which is explored\n`,
      ),
  });
  if (embedded.finished) return { store: path, run: checkpoint };
  io.print(
    `stopped after ${grouped(embedded.done)} of ${counted(embedded.of, "image")}; go on with: ${io.commandLine}`,
  );
  return { exitCode: stop.exitCode };
}

function nothingToExplore(word: string, isShipped: boolean): RunError {
  const [given, made] = [plain(word), "odis embed RUN PLACE --out STORE"];
  if (isShipped)
    return new RunError(
      `${given}: comes with odis, and without images. Embed a library: odis embed ${shellWord(word)} PLACE --out STORE`,
    );
  const problem = statOf(word)
    ? "is no store (it has no store.json) and no run (it has no config.json)"
    : "does not exist";
  return new RunError(`${given}: ${problem}. Make a store: ${made}`);
}

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
  if ("stopped" in written) {
    io.print(
      `stopped after ${grouped(written.stopped)} of ${counted(written.of, "image")}, which are kept in ${plain(written.kept)}; ` +
        `go on with: ${io.commandLine}`,
    );
    return stop.exitCode;
  }
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const network = browseOnly
    ? "without the network"
    : `${megabytes(written.network)} of it the network and what runs it, loaded when a visitor searches`;
  io.print(
    `${out}: ${counted(store.size("objects"), "object")} in ${counted(store.size("images"), "image")}, ` +
      `${megabytes(written.bytes)} (${network})`,
  );
  io.print(
    `any web server shows it, in any folder; here: python3 -m http.server --bind 127.0.0.1 --directory ${shellWord(out)} 8018`,
  );
  return undefined;
}
