import { type HostTensor, openSafetensors, readSafetensors, writeSafetensors } from "@odis/torch";
import { z } from "zod";
import { FileProblem, plain, readRegularSync, replaceText, RunError } from "../core/index.js";
import { type Manifest, patchEnding, type ShardEntry, shardPath } from "./manifest.js";

const objectSchema = z.strictObject({
  id: z.number(),
  /** x, y, width, height, pixels */
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  /** COCO's compressed run lengths, on the image's pixels */
  rle: z.string(),
  class: z.string().optional(),
  score: z.number().optional(),
});
/** An object as a store keeps it. */
export type ObjectLine = Readonly<z.infer<typeof objectSchema>>;

const lineSchema = z.union([
  z.strictObject({ image: z.string(), skipped: z.string() }),
  z.strictObject({
    image: z.string(),
    width: z.int().min(1),
    height: z.int().min(1),
    objects: z.array(objectSchema),
  }),
]);
/** One line of a shard's table: an image with the objects that have a vector, or why it has none. */
export type ImageLine = Readonly<z.infer<typeof lineSchema>>;

export const isSkipped = (line: ImageLine): line is Extract<ImageLine, { skipped: string }> =>
  "skipped" in line;

/** What a shard holds: lines, and the vectors of those that are not skipped, in their order. */
export interface Shard {
  readonly lines: readonly ImageLine[];
  /** [images, width] */
  readonly images: Float32Array;
  /** [objects, width] */
  readonly objects: Float32Array;
  /** of each image, where they are kept: [patches, width], bits of float16 */
  readonly patches?: readonly Uint16Array[];
}

/** Writes its files; they count once the store's list names them. */
export function writeShard(
  store: string,
  { name, place, width }: Pick<ShardEntry, "name" | "place"> & { readonly width: number },
  { lines, images, objects, patches }: Shard,
): ShardEntry {
  const path = shardPath(store, { name });
  const [m, n] = [images.length / width, objects.length / width];
  replaceText(`${path}.jsonl`, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  writeSafetensors(`${path}.safetensors`, [
    { name: "images", dtype: "float32", shape: [m, width], data: () => images },
    { name: "objects", dtype: "float32", shape: [n, width], data: () => objects },
  ]);
  if (patches) writePatches(path, width, patches);
  return { name, place, lines: lines.length, images: m, objects: n };
}

/** A tensor an image, named by its row in the shard: one can be read without the others. */
function writePatches(path: string, width: number, patches: readonly Uint16Array[]): void {
  writeSafetensors(
    `${path}.${patchEnding}`,
    patches.map((data, image) => {
      const shape = [data.length / width, width];
      return { name: `${image}`, dtype: "float16", shape, data: () => data };
    }),
  );
}

/**
 * Patches of some images of a shard: [patches, width] each, bits of float16.
 *
 * @param rows of its images
 * @throws RunError when they are missing, or of another shape than the store's list says
 */
export function readPatches(
  store: string,
  { model: { width }, patches }: Manifest,
  shard: ShardEntry,
  rows: readonly number[],
): readonly Uint16Array[] {
  const path = `${shardPath(store, shard)}.${patchEnding}`;
  using file = openSafetensors(path);
  return rows.map((row) => {
    const name = `${row}`;
    const { dtype, shape } = file.has(name) ? file.info(name) : { dtype: "nothing", shape: [] };
    const wanted = [patches, width].join(", ");
    const data = dtype === "float16" && shape.join(", ") === wanted ? file.read(name) : undefined;
    if (data instanceof Uint16Array) return data;
    throw new RunError(
      `${plain(path)}: image ${row}: got ${dtype} [${shape.join(", ")}], wanted float16 [${wanted}]. ${damaged}`,
    );
  });
}

/** No table of a shard is longer: its images are few. */
const longestTable = 2 ** 29;

/** @throws RunError when the table is gone, or does not say what the store's list says of it */
export function readLines(store: string, shard: ShardEntry): readonly ImageLine[] {
  const { file, lines } = readTexts(store, shard);
  const parsed = lines.map((line, at) => parseLine(file, line, at + 1));
  const kept = parsed.flatMap((line) => (isSkipped(line) ? [] : [line]));
  checkTable(file, shard, {
    lines: lines.length,
    images: kept.length,
    objects: kept.reduce((sum, line) => sum + line.objects.length, 0),
  });
  return parsed;
}

/** The table of a shard for those who want a few of its images: lines are understood when asked for. */
export class ShardTable {
  private readonly lines: readonly { readonly text: string; readonly at: number }[];
  /** objects before each image, and all */
  private readonly firsts: readonly number[];
  /** letters that are kept */
  readonly size: number;
  private readonly file: string;
  /** objects of an image are asked for one after the other */
  private last: { readonly image: number; readonly line: PlacedLine } | undefined;

  /** @throws RunError when it is gone, or does not say what the store's list says of it */
  constructor(store: string, shard: ShardEntry) {
    const { file, lines } = readTexts(store, shard);
    const kept = lines.flatMap((text, at) => (text.includes('"skipped":') ? [] : [{ text, at }]));
    const firsts = [0];
    for (const { text } of kept) firsts.push(firsts.at(-1)! + occurrences(text, '"rle":'));
    checkTable(file, shard, {
      lines: lines.length,
      images: kept.length,
      objects: firsts.at(-1)!,
    });
    this.file = file;
    this.lines = kept;
    this.firsts = firsts;
    this.size = kept.reduce((sum, { text }) => sum + text.length, 0);
  }

  /** @param image among those with vectors. @throws RunError when its line is damaged */
  image(image: number): PlacedLine {
    if (this.last?.image === image) return this.last.line;
    const { text, at } = this.lines[image]!;
    const first = this.firsts[image]!;
    const line = parseLine(this.file, text, at + 1);
    if (!isSkipped(line) && line.objects.length === this.firsts[image + 1]! - first) {
      this.last = { image, line: { ...line, first } };
      return this.last.line;
    }
    throw damagedLine(this.file, at + 1);
  }

  /** Which image an object is of. */
  imageOf(object: number): number {
    let [low, high] = [0, this.lines.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.firsts[middle]! <= object) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** With the first of its objects among those of its shard. */
export type PlacedLine = Exclude<ImageLine, { skipped: string }> & { readonly first: number };

/** A key stands in no text of JSON: a quotation mark in there has a backslash before it. */
function occurrences(text: string, key: string): number {
  let count = 0;
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + key.length)) count += 1;
  return count;
}

function readTexts(store: string, shard: ShardEntry) {
  const { file, bytes } = readTable(store, shard);
  return { file, lines: bytes.toString("utf8").split("\n").slice(0, -1) };
}

/** @throws RunError when the table is gone */
export function readTable(store: string, shard: ShardEntry) {
  const file = `${shardPath(store, shard)}.jsonl`;
  try {
    return { file, bytes: readRegularSync(file, longestTable) };
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new RunError(`${plain(file)} ${cause.message}. ${damaged}`, { cause });
  }
}

function checkTable(
  file: string,
  shard: ShardEntry,
  got: Pick<ShardEntry, "lines" | "images" | "objects">,
): void {
  if (got.lines === shard.lines && got.images === shard.images && got.objects === shard.objects)
    return;
  throw new RunError(
    `${plain(file)}: holds ${got.lines} lines with ${got.objects} objects; wanted ${shard.lines} with ` +
      `${shard.objects}. ${damaged}`,
  );
}

const damaged = "The store is damaged: restore it from a copy, or embed into another folder.";

function parseLine(file: string, text: string, line: number): ImageLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = lineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw damagedLine(file, line);
}

const damagedLine = (file: string, line: number): RunError =>
  new RunError(`${plain(file)}: line ${line} is no image of a store. ${damaged}`);

/** @throws RunError when a tensor is missing or has another shape than the store's list says */
export function readVectors(
  store: string,
  { model: { width } }: Manifest,
  shard: ShardEntry,
): Pick<Shard, "images" | "objects"> {
  const file = `${shardPath(store, shard)}.safetensors`;
  const tensors = readSafetensors(file);
  const vectors = (name: "images" | "objects"): Float32Array => {
    const tensor: HostTensor | undefined = tensors.get(name);
    const wanted = [shard[name], width];
    if (tensor?.data instanceof Float32Array && tensor.shape.join() === wanted.join())
      return tensor.data;
    throw new RunError(
      `${plain(file)}: ${name}: got ${tensor ? `${tensor.dtype} [${tensor.shape.join(", ")}]` : "nothing"}, ` +
        `wanted float32 [${wanted.join(", ")}]. ${damaged}`,
    );
  };
  return { images: vectors("images"), objects: vectors("objects") };
}

/** All of a shard but its lines. */
export function readShard(
  store: string,
  manifest: Manifest,
  shard: ShardEntry,
): Omit<Shard, "lines"> {
  const vectors = readVectors(store, manifest, shard);
  if (manifest.patches === undefined) return vectors;
  const rows = Array.from({ length: shard.images }, (_, row) => row);
  return { ...vectors, patches: readPatches(store, manifest, shard, rows) };
}

export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let to = 0;
  for (const part of parts) {
    all.set(part, to);
    to += part.length;
  }
  return all;
}
