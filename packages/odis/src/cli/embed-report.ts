import { join } from "node:path";
import { checkReplaceable, replaceText } from "../core/index.js";
import { command } from "./command.js";
import { integer, number, path, positional } from "./options.js";
import { threadsOption } from "./limits.js";

export const embedReportCommand = command({
  name: "report",
  summary: "Find near-duplicates, outliers, doubtful labels and clusters of a store.",
  examples: [
    ["odis embed report stores/photos", "prints them, and writes stores/photos/report.html"],
    [
      "odis embed report stores/photos --clusters 40 --duplicates 0.98",
      "finer groups; two images count as the same from this cosine on",
    ],
  ],
  options: {
    store: positional(path({ help: "made by odis embed", exists: "folder", required: true })),
    out: path({
      help: "the page, one HTML file (default: report.html in the store)",
      placeholder: "FILE.html",
    }),
    duplicates: number({
      help: "cosine from which on two images are nearly the same (default: twenty times nearer than images commonly are)",
      min: -1,
      max: 1,
    }),
    clusters: integer({
      help: "how many (default: what suits so many objects)",
      min: 1,
      max: 1000,
    }),
    limit: integer({
      help: "objects and images that are looked at, of a larger store evenly spread ones (default: 100,000)",
      min: 1,
    }),
    threads: threadsOption(),
  },
  async run({ store: folder, out, threads, ...options }, io) {
    const [{ formatInsight, insightInto, insightPage }, { openStore }, { setThreads }] =
      await Promise.all([
        import("../insight/index.js"),
        import("../search/index.js"),
        import("@odis/torch"),
      ]);
    if (threads !== undefined) setThreads(threads);
    const file = out ?? join(folder, "report.html");
    checkReplaceable(file);
    using store = openStore(folder);
    const insight = insightInto(store, options);
    io.print(formatInsight(store, insight));
    const page = await insightPage(store, insight, (reason) => io.stderr.write(`${reason}\n`));
    replaceText(file, page);
    io.print(`report: ${file}`);
    return undefined;
  },
});
