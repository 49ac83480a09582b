import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError, DataError, plain } from "../../core/index.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { PackedIndex } from "../packed-index.js";
import { Place } from "../place.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { readText } from "../text-file.js";
import { readIndexFile, walkShards } from "../shard-index.js";
import { onePlace } from "./places.js";

/** Archives that a range of numbers may name. */
const MOST = 1_000_000;

/**
 * WebDataset: samples in tar files, the members of one side by side, `KEY.jpg`, `KEY.json`, `KEY.cls`
 * or `KEY.seg.png`. What lies where is found by walking from header to header, or read from the index
 * that `odis data shard` writes.
 */
export const webdataset: Reader = {
  ...onePlace("shards"),
  places: "FOLDER or shards:NAME-{000..099}.tar",
  about:
    "WebDataset tar files: KEY.jpg with KEY.json (objects as in COCO, classes in classes.txt), KEY.seg.png or KEY.cls",
  detect(look) {
    if (look.isFile)
      return look.place.endsWith(".tar") ? { place: look.place, because: "a tar file" } : undefined;
    const first = look.names().find((name) => name.endsWith(".tar"));
    return first === undefined ? undefined : { place: look.place, because: first };
  },
  open: openShards,
};

async function openShards(spec: DataSpec): Promise<PackedIndex> {
  const place = textOf(spec, "place");
  const isFolder = statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const named = isFolder ? [] : expandBraces(place);
  const root = resolve(isFolder ? place : dirname(named[0]!));
  const folder = new Place(root, "data folder", spec.outside === true);
  const files = isFolder
    ? await folder.walk(new Set([".tar"]))
    : await folder.find(
        named.map((name) => fromRoot(root, name)),
        "shards",
      );
  if (files.length === 0) throw new DataError(`shards ${plain(root)}: there is no tar file`);
  const builder = new IndexBuilder({ reader: webdataset.kind, root });
  const known = await readIndexFile(root, files);
  const { archives, numbered } =
    known ??
    (await walkShards(root, files, (count) =>
      builder.leave("sample without a picture", "samples without a picture", count),
    ));
  if (archives.size === 0)
    throw new DataError(`shards ${plain(root)}: no picture lies in the tar files`);
  return builder.finish(await classesOf(root, numbered), { archives });
}

const fromRoot = (root: string, name: string): string =>
  resolve(dirname(name)) === root ? basename(name) : resolve(name);

/** Names of classes in classes.txt; otherwise numbers, as many as were seen. */
async function classesOf(root: string, numbered: number): Promise<string[]> {
  const file = join(root, "classes.txt");
  if (existsSync(file)) return (await readText(file, "list of classes")).trimEnd().split(/\r?\n/);
  return Array.from({ length: numbered }, (_, number) => `class ${number}`);
}

/**
 * `a-{000..009}.tar` and `{train,val}.tar` as a shell expands them.
 *
 * @throws ConfigError when it names more files than a disk holds
 */
export function expandBraces(text: string): string[] {
  const found = /\{([^{}]*)\}/.exec(text);
  if (!found) return [text];
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + found[0].length)];
  const range = /^(\d+)\.\.(\d+)$/.exec(found[1]!);
  const choices = range ? numbers(range[1]!, range[2]!, text) : found[1]!.split(",");
  const rest = expandBraces(after);
  if (choices.length * rest.length > MOST) throw tooMany(text);
  return choices.flatMap((choice) => rest.map((end) => before + choice + end));
}

function numbers(first: string, last: string, text: string): string[] {
  const [from, to] = [Number(first), Number(last)];
  if (Math.abs(to - from) >= MOST) throw tooMany(text);
  const step = from <= to ? 1 : -1;
  const width = first.startsWith("0") ? first.length : 0;
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, at) =>
    String(from + step * at).padStart(width, "0"),
  );
}

const tooMany = (text: string): ConfigError =>
  new ConfigError(`data shards:${plain(text)}: names more than ${MOST} files`);
