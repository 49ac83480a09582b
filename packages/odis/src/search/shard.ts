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
  const file = `${shardPath(store, shard)}.jsonl`;
  let text: string;
  try {
    text = readRegularSync(file, longestTable).toString("utf8");
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new RunError(`${plain(file)} ${cause.message}. ${damaged}`, { cause });
  }
  const lines = text
    .split("\n")
    .slice(0, -1)
    .map((line, at) => parseLine(file, line, at + 1));
  const kept = lines.flatMap((line) => (isSkipped(line) ? [] : [line]));
  const objects = kept.reduce((sum, line) => sum + line.objects.length, 0);
  if (lines.length === shard.lines && kept.length === shard.images && objects === shard.objects)
    return lines;
  throw new RunError(
    `${plain(file)}: holds ${lines.length} lines with ${objects} objects; wanted ${shard.lines} with ` +
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
  throw new RunError(`${plain(file)}: line ${line} is no image of a store. ${damaged}`);
}

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
