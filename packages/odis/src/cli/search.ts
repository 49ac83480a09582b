import { command } from "./command.js";
import { choice, flag, integer, numbers, path, positional, text } from "./options.js";
import { threadsOption } from "./limits.js";

export const searchCommand = command({
  name: "search",
  summary: "Find the objects of a library that are most like one in a photograph.",
  examples: [
    ["odis search stores/photos photo.jpg --box 40,60,120,80", "most like what is in the box"],
    [
      "odis search stores/photos photo.jpg --mask thing.png --sheet found.png",
      "a picture of what was found",
    ],
    ["odis search stores/photos photo.jpg --for images", "whole images that are like it"],
  ],
  options: async () => {
    const { itemKinds } = await import("../search/index.js");
    return {
      store: positional(path({ help: "made by odis embed", exists: "folder", required: true })),
      photo: positional(path({ help: "a photograph", exists: "file", required: true })),
      box: numbers(["x", "y", "width", "height"], { help: "where the object is, pixels" }),
      point: numbers(["x", "y"], { help: "a pixel of it; its outline is guessed from features" }),
      mask: path({
        help: "PNG of the photograph's size, not 0 where the object is",
        exists: "file",
      }),
      for: choice(itemKinds, { help: "what is searched", default: "objects" }),
      top: integer({ help: "how many", default: 20, min: 1, max: 10_000 }),
      sheet: path({
        help: "PNG: the photograph and what was found, marked",
        placeholder: "FILE.png",
      }),
      approximate: flag({
        help: "ask the index: fast, and misses some (odis embed --index says how many)",
      }),
      json: flag({ help: "print JSON" }),
      run: text({ help: "the run that made the store, if it has moved", placeholder: "FOLDER" }),
      device: text({ help: "cpu, cuda or cuda:1", default: "cpu" }),
      threads: threadsOption(),
    };
  },
  async run(values, io) {
    const { store: folder, photo, box, point, mask, top, sheet, approximate, json } = values;
    const [search, { setThreads }] = await Promise.all([
      import("../search/index.js"),
      import("@odis/torch"),
    ]);
    if (values.threads !== undefined) setThreads(values.threads);
    using store = search.openStore(folder, { run: values.run, device: values.device });
    store.checkSome(values.for, "; or search whole images: --for images");
    const query = await search.photoQuery(photo, { box, point, mask }, () => store.network());
    const hits = store.search(query, { top, kind: values.for, approximate });
    if (json) io.print(JSON.stringify(hits.map(plainHit), null, 1));
    else {
      io.print(search.formatHits(hits));
      if (approximate && store.index)
        io.print(
          `approximate: ${(100 * store.index.recall).toFixed(1)} % of the ten nearest are found ` +
            `(measured with ${store.index.tried} objects)`,
        );
    }
    if (sheet !== undefined) {
      const { rgb, width, height } = await search.hitSheet(
        query,
        hits,
        new search.StorePictures(),
        (reason) => io.stderr.write(`${reason}\n`),
      );
      await writePng(sheet, rgb, width, height);
      if (!json) io.print(sheet);
    }
    return undefined;
  },
});

type Hits = ReturnType<import("../search/index.js").Store["search"]>;

function plainHit({ row, similarity, image, object }: Hits[number]) {
  const of = { row, similarity, image: image.key, place: image.place };
  if (!object) return of;
  const { id, box, class: name, score } = object;
  return { ...of, id, box: [box.x, box.y, box.width, box.height], class: name, score };
}

async function writePng(
  out: string,
  rgb: Uint8Array,
  width: number,
  height: number,
): Promise<void> {
  const [{ encodePng }, { replaceFile }, { writeFileSync }] = await Promise.all([
    import("../data/index.js"),
    import("../core/index.js"),
    import("node:fs"),
  ]);
  const png = await encodePng(rgb, width, height);
  replaceFile(out, (descriptor) => writeFileSync(descriptor, png));
}
