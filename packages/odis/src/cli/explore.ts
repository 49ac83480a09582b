import { command } from "./command.js";
import { integer, path, positional, text } from "./options.js";
import { threadsOption } from "./limits.js";

export const exploreCommand = command({
  name: "explore",
  summary: "Look at a store in a browser: its objects, what is like them, where, and why.",
  examples: [
    ["odis explore stores/photos", "prints an address for this machine's browser; Ctrl-C ends it"],
  ],
  options: {
    store: positional(path({ help: "made by odis embed", exists: "folder", required: true })),
    port: integer({ help: "where it is served", default: 8017, min: 0, max: 65_535 }),
    run: text({ help: "the run that made the store, if it has moved", placeholder: "FOLDER" }),
    device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
    threads: threadsOption(),
  },
  async run({ store: folder, port, run, device, threads }, io) {
    const [{ openStore }, { serveStore }, { setThreads }] = await Promise.all([
      import("../search/index.js"),
      import("../explore/index.js"),
      import("@odis/torch"),
    ]);
    if (threads !== undefined) setThreads(threads);
    const store = openStore(folder, { run, device });
    const { url } = await serveStore(store, port);
    io.print(`${url}    (this machine only; Ctrl-C ends it)`);
    return new Promise<never>(() => undefined); // the server keeps the process alive
  },
});
