import { basename } from "node:path";
import { counted, grouped } from "../core/index.js";
import type { Inspection, OpenSource, Spread } from "../data/index.js";
import { command, type CliCommand, group, type Io } from "./command.js";
import { countProgress } from "./progress.js";
import { choice, integer, number, path, positional, text } from "./options.js";

const place = positional(
  text({
    help: "a folder or file, or KIND:PLACE; odis data kinds lists the kinds",
    placeholder: "PLACE",
    required: true,
  }),
);

const inspectCommand = command({
  name: "inspect",
  summary: "Say what a data set holds, what is doubtful in it, and draw some of it.",
  examples: [
    [
      "odis data inspect photos",
      "what kind it is, counts, sizes, classes, copies, problems by name",
    ],
    ["odis data inspect coco:photos --limit 100000 --sheet sheet.png", "read (nearly) all of it"],
  ],
  options: {
    place,
    limit: integer({ help: "images to read, spread over the data set", default: 1000, min: 1 }),
    sheet: path({
      help: "where some pictures are drawn with their masks",
      placeholder: "FILE.png",
      default: "data-sheet.png",
    }),
  },
  async run({ place: named, limit, sheet }, io) {
    const { dataText, inspect } = await import("../data/index.js");
    const { source, spec } = await opened(named, io);
    const found = await inspect(source, { limit, onProgress: countProgress(io, "images") });
    io.print(`${dataText(spec)}\n${source.summary}`);
    for (const line of [...source.notes.map((note) => `  ${note}`), ...describe(found)])
      io.print(line);
    if (found.sheet) {
      const { writeFile } = await import("node:fs/promises");
      await writeFile(sheet, found.sheet);
      io.print(`contact sheet: ${sheet}`);
    }
    return undefined;
  },
});

const convertCommand = command({
  name: "convert",
  summary: "Write a data set in another format.",
  examples: [
    [
      "odis data convert voc:VOC2012 coco-of-voc --to coco",
      "pictures are copied, annotations written again",
    ],
    ["odis data convert coco:photos#take=0..0.8 train --to yolo", "a part of it"],
  ],
  about: async () => {
    const { writers } = await import("../data/index.js");
    const lines = writers.map(({ kind, about }) => `  ${kind.padEnd(13)}${about}`);
    return `Formats, --to NAME, and what each can say of an object:\n${lines.join("\n")}`;
  },
  options: async () => {
    const { writers } = await import("../data/index.js");
    return {
      place,
      out: positional(path({ help: "a new folder", required: true })),
      to: choice(
        writers.map(({ kind }) => kind),
        { help: "the format", required: true },
      ),
    };
  },
  async run({ place: named, out, to }, io) {
    return write(named, out, to, io);
  },
});

const shardCommand = command({
  name: "shard",
  summary: "Pack a data set into tar files that open at once and are read in order.",
  examples: [
    ["odis data shard coco:photos shards", "tar files of half a gigabyte, with an index"],
    ["odis data shard imagenet:ILSVRC shards --size 1024", "of a gigabyte each"],
  ],
  options: {
    place,
    out: positional(path({ help: "a new folder", required: true })),
    size: number({ help: "size of a tar file, MiB", default: 512, min: 1 }),
  },
  async run({ place: named, out, size }, io) {
    return write(named, out, "shards", io, size * 2 ** 20);
  },
});

const kindsCommand = command({
  name: "kinds",
  summary: "List the kinds of data sets, and the settings that may follow a place.",
  examples: [],
  options: {},
  async run(_, io) {
    const { dataHelp } = await import("../data/index.js");
    io.print(dataHelp());
    return undefined;
  },
});

export const dataCommand: CliCommand = group({
  name: "data",
  summary: "Look at data sets, convert them, pack them into shards.",
  commands: [inspectCommand, convertCommand, shardCommand, kindsCommand],
});

async function opened(named: string, io: Io) {
  const { openSource, parseDataSpec } = await import("../data/index.js");
  const spec = parseDataSpec(named);
  const source: OpenSource = await openSource(spec);
  if (io.stderr.isTTY) io.stderr.write(`${source.summary}\n`);
  return { spec, source };
}

async function write(
  named: string,
  out: string,
  to: string,
  io: Io,
  shardBytes?: number,
): Promise<undefined> {
  const [{ convert, writers }, { OdisError, exitCodes, shellWord }] = await Promise.all([
    import("../data/index.js"),
    import("../core/index.js"),
  ]);
  const { source } = await opened(named, io);
  const stop = new AbortController();
  for (const [signal, code] of [
    ["SIGINT", exitCodes.stopped],
    ["SIGTERM", exitCodes.terminated],
  ] as const)
    process.once(signal, () => stop.abort(new OdisError("stopped; nothing was written", code)));
  const size = shardBytes === undefined ? {} : { shardBytes };
  const progressed = countProgress(io, "images");
  const options = { to, out, signal: stop.signal, onProgress: progressed, ...size };
  const { images, objects, skipped, notes } = await convert(source, options);
  io.print(`${out}: ${counted(images, "image")}, ${counted(objects, "object")} as ${to}`);
  for (const note of notes) io.print(`  ${note}`);
  for (const line of problemLines(skipped, "could not be read")) io.print(line);
  const { readWith } = writers.find(({ kind }) => kind === to)!;
  io.print(`read it with --data ${shellWord(`${to}:${out}${readWith ? `#${readWith}` : ""}`)}`);
  return undefined;
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;

/** Problems and the like that are spelled out. */
const NAMED = 5;

function problemLines(
  problems: readonly { readonly key: string; readonly reason: string }[],
  what: string,
): string[] {
  if (problems.length === 0) return [];
  const some = problems.slice(0, NAMED).map(({ key, reason }) => `    ${key}: ${reason}`);
  const more = problems.length > NAMED ? [`    … and ${problems.length - NAMED} more`] : [];
  return [`  ${counted(problems.length, "image")} ${what}:`, ...some, ...more];
}

function describe(found: Inspection): string[] {
  const lines = [`read ${grouped(found.read)} of ${counted(found.images, "image")}:`];
  const add = (name: string, values: Spread | undefined, text: (value: number) => string) => {
    if (values) lines.push(`  ${name.padEnd(18)} ${values.map(text).join("  ")}`);
  };
  lines.push(`  ${"".padEnd(18)} lowest, a quarter, the middle, three quarters, highest`);
  add("width", found.widths, String);
  add("height", found.heights, String);
  add("objects an image", found.perImage, String);
  add("share of the image", found.shares, percent);
  if (found.objects > 0) {
    lines.push("  views.object.minArea would leave out");
    for (const { share, objects, images } of found.below)
      lines.push(
        `    at ${share}: ${grouped(objects)} of ${counted(found.objects, "object")}; ${counted(images, "image has", "images have")} none left`,
      );
  }
  if (found.bare > 0) lines.push(`  ${counted(found.bare, "image")} without an object`);
  if (found.classes.length > 0) {
    const shown = found.classes
      .slice(0, 20)
      .map(([name, objects]) => `${name || "(no class)"} ${grouped(objects)}`);
    const more = found.classes.length > 20 ? `, and ${found.classes.length - 20} more classes` : "";
    lines.push(`  classes: ${shown.join(", ")}${more}`);
  }
  if (found.turned > 0)
    lines.push(`  ${counted(found.turned, "photograph is", "photographs are")} turned by EXIF`);
  if (found.copies.length > 0) {
    const some = found.copies.slice(0, NAMED).map(
      (names) =>
        `    ${names
          .slice(0, NAMED)
          .map((name) => basename(name))
          .join(" = ")}`,
    );
    lines.push(
      `  ${counted(found.copies.length, "picture is", "pictures are")} there more than once:`,
      ...some,
    );
    if (found.copies.length > NAMED) lines.push(`    … and ${found.copies.length - NAMED} more`);
  }
  lines.push(...problemLines(found.problems, "cannot be used"));
  return lines;
}
