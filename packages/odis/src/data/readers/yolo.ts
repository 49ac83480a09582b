import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, posix, relative, resolve, sep } from "node:path";
import { DataError, isRecord, plain, reasonOf, show } from "../../core/index.js";
import { readAhead } from "../ahead.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex, Shape } from "../packed-index.js";
import { isPicture, Place, stemOf } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { readText } from "../text-file.js";
import { onePlace } from "./places.js";

/**
 * YOLO: a text file for each picture, a line for each object: class and box (centre and sides) or
 * outline, in shares of the picture's sides; a last number more is a score. The file lies where the
 * picture does, with `labels` for `images` in its path.
 */
export const yolo: Reader = {
  ...onePlace("yolo"),
  places: "FOLDER or yolo:DATA.yaml",
  about:
    "YOLO boxes and outlines: images/ and labels/, with the names of classes and the sets in data.yaml (#set=train or val)",
  settings: ["set", "score"],
  detect: detectYolo,
  open: openYolo,
};

function detectYolo(look: Look): Detected | undefined {
  const { place } = look;
  if (look.isFile)
    return /\.ya?ml$/.test(place) && /^names\s*:/m.test(look.start())
      ? { place, because: "a YAML file with names of classes" }
      : undefined;
  const yaml = look
    .names()
    .find((name) => /\.ya?ml$/.test(name) && /^names\s*:/m.test(look.start(name)));
  if (yaml !== undefined) return { place, because: yaml };
  const isPair = look.hasFolder("images") && look.hasFolder("labels") && hasLines(look, "labels");
  return isPair ? { place, because: "images/ and labels/*.txt" } : undefined;
}

function hasLines(look: Look, folder: string): boolean {
  const inner = [folder, ...look.folders(folder).map((name) => join(folder, name))];
  return inner.some((name) => look.has(".txt", name));
}

/** What data.yaml says. */
interface Description {
  readonly root: string;
  /** folders, lists or pictures of the set, relative to the root */
  readonly sets: readonly string[];
  /** by number */
  readonly names: ReadonlyMap<number, string>;
}

async function openYolo(spec: DataSpec): Promise<PackedIndex> {
  const { root, sets, names } = await describe(spec);
  const place = new Place(root, "data folder", spec.outside === true);
  const builder = new IndexBuilder({ reader: yolo.kind, root, turning: "turned" });
  const mistakes = new Mistakes(`YOLO data ${root}`);
  const labels = new Labels(names);
  for (const set of sets) {
    const read = async (file: string): Promise<string> => {
      const path = labelFile(file);
      const listed = (await place.entries(posix.dirname(path))).has(posix.basename(path));
      return listed ? readText(join(root, await place.regular(path)), "label file") : "";
    };
    for await (const [file, text] of readAhead(await picturesOf(place, set), read)) {
      const image = builder.image(file);
      const path = labelFile(file);
      for (const [at, line] of text.split("\n").entries())
        if (line.trim() !== "")
          mistakes.collect(() => addLine(builder, image, line, { path, at, labels, spec }));
    }
  }
  mistakes.check();
  if (builder.size === 0) throw new DataError(`YOLO data ${plain(root)}: there is no picture`);
  return builder.finish(labels.finish(builder));
}

/** `images/train/a.jpg` has its objects in `labels/train/a.txt`; without such a folder they lie side by side. */
function labelFile(picture: string): string {
  const parts = picture.split("/");
  const at = parts.lastIndexOf("images");
  const folders = at < 0 ? parts.slice(0, -1) : parts.with(at, "labels").slice(0, -1);
  return posix.join(...folders, `${stemOf(picture)}.txt`);
}

async function picturesOf(place: Place, set: string): Promise<readonly string[]> {
  if (isPicture(set)) return [await place.regular(set)];
  if (!set.endsWith(".txt")) return place.walk(undefined, undefined, set);
  const text = await readText(join(place.root, await place.regular(set)), "list of images");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return place.find(
    lines.map((line) => line.trim()),
    plain(join(place.root, set)),
  );
}

async function describe(spec: DataSpec): Promise<Description> {
  const given = resolve(textOf(spec, "place"));
  const isFile = /\.ya?ml$/.test(given);
  const folder = isFile ? dirname(given) : given;
  const candidates = isFile
    ? [given]
    : ["data.yaml", "data.yml", "dataset.yaml"].map((name) => join(folder, name));
  const other = isFile
    ? []
    : [...(await new Place(folder, "data folder", true).entries("."))].filter((name) =>
        /\.ya?ml$/.test(name),
      );
  const file = [...candidates, ...other.map((name) => join(folder, name))].find((path) =>
    existsSync(path),
  );
  const set = optionalText(spec, "set");
  if (file !== undefined) return parseYaml(file, set ?? "train", spec.outside === true);
  const images = set === undefined ? "images" : posix.join("images", set);
  const sets = existsSync(join(folder, images)) ? [images] : ["."];
  return { root: folder, sets, names: await namesFile(folder) };
}

/** labelImg writes the names of classes beside the labels, a line each. */
async function namesFile(folder: string): Promise<Map<number, string>> {
  const path = ["classes.txt", "labels/classes.txt"]
    .map((name) => join(folder, name))
    .find((file) => existsSync(file));
  const lines = path ? (await readText(path, "list of classes")).trimEnd().split(/\r?\n/) : [];
  return new Map(lines.map((name, number) => [number, name.trim()]));
}

async function parseYaml(path: string, set: string, outside: boolean): Promise<Description> {
  const where = `data description ${plain(path)}`;
  const text = await readText(path, "data description");
  const { parse } = await import("yaml");
  let root: unknown;
  try {
    root = parse(text, { maxAliasCount: 100, logLevel: "error" });
  } catch (cause) {
    throw new DataError(`${where} is not YAML: ${plain(reasonOf(cause).split("\n")[0]!)}`, {
      cause,
    });
  }
  if (!isRecord(root)) throw new DataError(`${where} is ${show(root)}; wanted names and values`);
  const { path: base = ".", names } = root;
  if (typeof base !== "string")
    throw new DataError(`${where}: "path" is ${show(base)}; wanted a folder`);
  const folder = dirname(path);
  const at = resolve(folder, base);
  const from = relative(folder, at);
  const leaves = isAbsolute(from) || from === ".." || from.startsWith(`..${sep}`);
  // A description that travelled with its data often names where they once were.
  const there = existsSync(at) && (!leaves || outside) ? at : folder;
  if (leaves && !outside && existsSync(at))
    throw new DataError(
      `${where}: "path" leads out of its folder, to ${plain(at)}. If that is meant, allow it: --data 'KIND:PLACE#outside'`,
    );
  const sets = Array.isArray(root[set]) ? (root[set] as unknown[]) : [root[set]];
  if (root[set] === undefined || root[set] === null)
    throw new DataError(
      `${where} has no set ${plain(JSON.stringify(set))}; it has ${
        Object.keys(root)
          .filter((key) => ["train", "val", "test"].includes(key))
          .join(", ") || "none of train, val and test"
      }`,
    );
  const folders = sets.map((value) => {
    if (typeof value !== "string" || value === "")
      throw new DataError(
        `${where}: ${plain(JSON.stringify(set))} is ${show(value)}; wanted folders or lists of images`,
      );
    return inside(there, value, where, outside);
  });
  return { root: there, sets: folders, names: classNames(names, where) };
}

/** Roboflow writes `../train/images` for what lies beside the description. */
function inside(root: string, value: string, where: string, outside: boolean): string {
  const spellings = [value, value.replace(/^(\.\.\/)+/, "")];
  for (const spelling of spellings) {
    const at = relative(root, resolve(root, spelling));
    const leaves = isAbsolute(at) || at.startsWith("..");
    if ((!leaves || outside) && existsSync(resolve(root, spelling)))
      return at.split(sep).join(posix.sep) || ".";
  }
  throw new DataError(
    `${where}: there is no ${plain(resolve(root, value))} inside of ${plain(root)}`,
  );
}

function classNames(names: unknown, where: string): Map<number, string> {
  const entries = Array.isArray(names)
    ? names.map((name, at) => [at, name as unknown] as const)
    : isRecord(names)
      ? Object.entries(names).map(([key, name]) => [Number(key), name] as const)
      : undefined;
  if (
    !entries ||
    entries.some(
      ([key, name]) => !Number.isInteger(key) || !["string", "number"].includes(typeof name),
    )
  )
    throw new DataError(
      `${where}: "names" is ${show(names)}; wanted the classes, a list or by number`,
    );
  return new Map(entries.map(([key, name]) => [key, String(name as string | number)]));
}

/** Labels of the numbers in the files, in the order of the numbers. */
class Labels {
  private readonly found = new Map<number, number>();

  constructor(private readonly names: ReadonlyMap<number, string>) {}

  label(number: number): number {
    if (this.names.size > 0 && !this.names.has(number))
      throw new DataError(`class ${number} has no name; there are ${this.names.size}`);
    const label = this.found.get(number) ?? this.found.size;
    this.found.set(number, label);
    return label;
  }

  /** Named classes are kept even where no picture shows them. @returns the classes */
  finish(builder: IndexBuilder): string[] {
    const numbers = [...new Set([...this.names.keys(), ...this.found.keys()])].toSorted(
      (a, b) => a - b,
    );
    const labels: number[] = [];
    for (const [label, number] of numbers.entries()) {
      const provisional = this.found.get(number);
      if (provisional !== undefined) labels[provisional] = label;
    }
    builder.relabel(labels);
    return numbers.map((number) => this.names.get(number) ?? `class ${number}`);
  }
}

function addLine(
  builder: IndexBuilder,
  image: number,
  line: string,
  { path, at, labels, spec }: { path: string; at: number; labels: Labels; spec: DataSpec },
): void {
  try {
    const numbers = line.trim().split(/\s+/).map(Number);
    const [number, ...rest] = numbers;
    if (
      numbers.some((value) => !Number.isFinite(value)) ||
      !Number.isInteger(number) ||
      number! < 0
    )
      throw new DataError(`got ${show(line.trim())}; wanted a class and shares of the sides`);
    const isScored = rest.length % 2 === 1;
    const score = isScored ? rest.pop() : undefined;
    if (rest.length !== 4 && rest.length < 6)
      throw new DataError(
        `got ${rest.length} numbers behind the class; wanted 4 (a box) or 6 and more (an outline)`,
      );
    const label = labels.label(number!);
    if (typeof spec.score === "number" && score !== undefined && score < spec.score) {
      builder.leave(
        `object with a score below ${spec.score}`,
        `objects with a score below ${spec.score}`,
      );
      return;
    }
    builder.object(image, { id: at, label, score, shape: shapeOf(rest) });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${plain(path)}, line ${at + 1}: ${cause.message}`, { cause });
  }
}

function shapeOf(numbers: readonly number[]): Shape {
  if (numbers.length > 4) return { form: "share polygons", parts: [numbers] };
  const [x, y, width, height] = numbers as [number, number, number, number];
  if (width <= 0 || height <= 0)
    throw new DataError(`the box is ${width} × ${height}; wanted sides above 0`);
  return { form: "share box", parts: [[x - width / 2, y - height / 2, width, height]] };
}
