import { join, posix, resolve } from "node:path";
import { DataError, isRecord, parseJson, plain, record, show } from "../../core/index.js";
import { boxRle } from "../../objects/index.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { readLines } from "../text-file.js";
import { onePlace } from "./places.js";

const FILE = "metadata.jsonl";

/**
 * A folder as Hugging Face's `imagefolder` has it: metadata.jsonl, a line for each picture, with its
 * `file_name` and maybe `objects`: lists of `bbox` (COCO's x, y, width, height) and of classes.
 */
export const metadata: Reader = {
  ...onePlace("metadata"),
  places: "FOLDER",
  about:
    "Hugging Face folders: metadata.jsonl with file_name and objects { bbox, category }, or a label for the whole " +
    "picture (#set=train for a folder in it)",
  settings: ["set"],
  detect: detectMetadata,
  open: openMetadata,
};

function detectMetadata(look: Look): Detected | undefined {
  const folder = [".", "train"].find((name) => look.hasFile(join(name, FILE)));
  return folder !== undefined && look.start(join(folder, FILE)).includes('"file_name"')
    ? { place: look.place, because: folder === "." ? FILE : `${folder}/${FILE}` }
    : undefined;
}

async function openMetadata(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "place"));
  const place = new Place(root, "data folder", spec.outside === true);
  const own = (await place.entries(".")).has(FILE) ? "." : "train";
  const folder = optionalText(spec, "set") ?? own;
  const builder = new IndexBuilder({ reader: metadata.kind, root });
  const mistakes = new Mistakes(posix.join(root, folder, FILE));
  const classes = new ClassNames();
  const path = join(root, await place.regular(posix.join(folder, FILE)));
  const names: string[] = [];
  let at = 0;
  for await (const line of readLines(path, "metadata")) {
    at += 1;
    mistakes.collect(() => {
      const row = record(parseJson(Buffer.from(line), `line ${at}`), `line ${at}`);
      const { file_name: file } = row;
      if (typeof file !== "string" || file === "")
        throw new DataError(
          `line ${at}: "file_name" is ${show(file)}; wanted the name of a picture`,
        );
      const image = builder.image(file);
      names.push(posix.join(folder, file));
      addObjects(builder, image, row, `line ${at} (${plain(file)})`, classes);
    });
  }
  mistakes.check();
  if (builder.size === 0) throw new DataError(`metadata ${plain(path)} is empty`);
  builder.rename(await place.find(names, plain(path)));
  const { names: sorted, labels } = classes.sorted();
  builder.relabel(labels);
  return builder.finish(sorted);
}

function addObjects(
  builder: IndexBuilder,
  image: number,
  row: Readonly<Record<string, unknown>>,
  where: string,
  classes: ClassNames,
): void {
  const { objects, label } = row;
  if (objects === undefined || objects === null) {
    if (label === undefined || label === null) return;
    const shape = { form: "whole" as const, parts: [] };
    builder.object(image, { id: 0, label: classes.label(nameOf(label, where)), shape });
    return;
  }
  for (const [at, { box, name, id }] of boxesOf(objects, where).entries()) {
    const label = name === undefined ? -1 : classes.label(nameOf(name, where));
    try {
      boxRle(box, 1, 1); // throws unless it is four numbers
      builder.object(image, {
        id: typeof id === "number" && Number.isSafeInteger(id) ? id : at,
        label,
        shape: { form: "box", parts: [box as number[]] },
      });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new DataError(`${where}: ${cause.message}`, { cause });
    }
  }
}

interface Found {
  readonly box: unknown;
  readonly name: unknown;
  readonly id: unknown;
}

/** Objects are an object of lists, or a list of objects. */
function boxesOf(objects: unknown, where: string): Found[] {
  if (Array.isArray(objects))
    return objects.map((value: unknown, at) => {
      const object = record(value, `${where}: objects[${at}]`);
      return { box: object.bbox, name: classOf(object), id: object.id };
    });
  const lists = isRecord(objects) ? objects : {};
  const { bbox, id } = lists;
  const names = classOf(lists);
  if (
    !Array.isArray(bbox) ||
    (names !== undefined && !(Array.isArray(names) && names.length === bbox.length))
  )
    throw new DataError(
      `${where}: "objects" is ${show(objects)}; wanted the lists "bbox" and "category", equally long`,
    );
  return bbox.map((box: unknown, at) => ({
    box,
    name: Array.isArray(names) ? (names[at] as unknown) : undefined,
    id: Array.isArray(id) ? (id[at] as unknown) : undefined,
  }));
}

const classOf = (object: Readonly<Record<string, unknown>>): unknown =>
  object.category ?? object.categories ?? object.label ?? object.category_id;

function nameOf(value: unknown, where: string): string {
  if (typeof value === "string" && value !== "") return value;
  if (typeof value === "number" && Number.isInteger(value))
    return `class ${String(value).padStart(3, "0")}`;
  throw new DataError(`${where}: a class is ${show(value)}; wanted a name or a number`);
}
