import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import {
  counted,
  firstProblem,
  parsedJson,
  plain,
  readOwnText,
  replaceText,
  RunError,
  statOf,
} from "../core/index.js";
import { frames } from "../portable/index.js";

/** Part of the images of a store: a file of vectors and one of what they are of. */
const shardSchema = z.strictObject({
  /**
   * its files are `NAME.safetensors` and `NAME.jsonl`: a number, and of one that was stopped before its
   * last image also how many it has
   */
  name: z.string().regex(/^\d{6,9}(-\d{1,3})?$/),
  /** index into the store's places */
  place: z.int().min(0),
  /** lines of its table, those of skipped images included */
  lines: z.int().min(0),
  /** rows of its tensors */
  images: z.int().min(0),
  objects: z.int().min(0),
});
export type ShardEntry = Readonly<z.infer<typeof shardSchema>>;

const modelSchema = z.strictObject({
  /** what it was loaded from: a run folder, a checkpoint, a file, or a name */
  from: z.string(),
  /** of the file of weights, hex */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  recipe: z.string(),
  size: z.int().min(1),
  frame: z.enum(frames),
  width: z.int().min(1),
});
/** Which network a store's vectors come from, and how it was shown the images. */
export type StoreModel = Readonly<z.infer<typeof modelSchema>>;

const indexSchema = z.strictObject({
  objects: z.int().min(1),
  /** share of the true neighbours among the 10 that it finds, and for how many objects that was tried */
  recall: z.number().min(0).max(1),
  tried: z.int().min(1),
});
export type IndexEntry = Readonly<z.infer<typeof indexSchema>>;

const manifestSchema = z.strictObject({
  odis: z.literal("store"),
  version: z.literal(1),
  model: modelSchema,
  /** data sets that its images are from, as the command line names them */
  places: z.array(z.string()),
  /** patches of an image, where they are kept, too */
  patches: z.int().min(1).optional(),
  shards: z.array(shardSchema),
  index: indexSchema.optional(),
});
/** What `store.json` says. A shard that it does not name does not exist. */
export interface Manifest {
  readonly odis: "store";
  readonly version: 1;
  readonly model: StoreModel;
  readonly places: readonly string[];
  readonly patches?: number | undefined;
  readonly shards: readonly ShardEntry[];
  readonly index?: IndexEntry | undefined;
}

const manifestFile = (store: string): string => join(store, "store.json");

/** Where an approximate index lies. */
export const indexFile = (store: string): string => join(store, "objects.usearch");

/** What the name of the file of a shard's patches ends in. */
export const patchEnding = "patches.safetensors";

/** Where a shard's two files lie, less what tells them apart. */
export const shardPath = (store: string, { name }: Pick<ShardEntry, "name">): string =>
  join(store, "shards", name);

/**
 * What a store holds; undefined where there is none.
 *
 * @throws RunError when it is not one of this release
 */
export function readManifest(store: string): Manifest | undefined {
  const file = manifestFile(store);
  const text = readOwnText(file);
  if (text === undefined) return undefined;
  const value = parsedJson(text);
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RunError(
    `${plain(file)}: is no list of a store of this release: ${firstProblem(value, parsed.error)}. ` +
      `Embed into another folder, or restore the file.`,
  );
}

/** @throws RunError when there is no store */
export function openManifest(store: string): Manifest {
  const manifest = readManifest(store);
  if (manifest) return manifest;
  const there = statOf(store) === undefined ? "does not exist" : "holds no store.json";
  throw new RunError(
    `store ${plain(store)}: ${there}. Make one: odis embed RUN PLACE --out ${plain(store)}`,
  );
}

/** What a store has, for whoever has to end: "store stores/photos stands with 128 images". */
export function storeStands(store: string): string | undefined {
  const images = readManifest(store)?.shards.reduce((sum, shard) => sum + shard.images, 0) ?? 0;
  return images > 0 ? `store ${plain(store)} stands with ${counted(images, "image")}` : undefined;
}

/** Replaces the list at once; whatever it does not name is then left over. */
export function writeManifest(store: string, manifest: Manifest): void {
  replaceText(manifestFile(store), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** Whether it was stopped before its last image, so that some are to be added to it. */
export const isUnfinished = ({ name }: Pick<ShardEntry, "name">): boolean => name.includes("-");

/** The number in a shard's name. */
export const numberOf = ({ name }: Pick<ShardEntry, "name">): number =>
  Number(name.slice(0, name.indexOf("-") >>> 0));

/** Removes what a process left behind that ended in the middle of writing. Call it with the lock held. */
export function removeLeftovers(store: string, { shards, index }: Manifest): void {
  const wanted = new Set(
    shards.flatMap(({ name }) =>
      ["jsonl", "safetensors", patchEnding].map((end) => `${name}.${end}`),
    ),
  );
  for (const name of readdirSync(join(store, "shards")))
    if (!wanted.has(name) && ownName.test(name)) rmSync(join(store, "shards", name));
  for (const name of readdirSync(store))
    if (/^\.(store\.json|objects\.usearch)\..*\.tmp$/.test(name)) rmSync(join(store, name));
  if (!index) rmSync(indexFile(store), { force: true });
}

/** Files that odis makes among the shards, whole or not; anything else there is somebody's. */
const ownName =
  /^(\d{6,9}(-\d+)?(\.patches)?\.(jsonl|safetensors)|\.\d{6,9}(-\d+)?(\.patches)?\.(jsonl|safetensors)\..*\.tmp)$/;

/** The number after every one that a shard has had. */
export function nextShard({ shards }: Manifest): number {
  return shards.reduce((most, shard) => Math.max(most, numberOf(shard) + 1), 0);
}

/** @param unfinished of one that was stopped, how many images it has */
export const shardName = (number: number, unfinished?: number): string =>
  `${String(number).padStart(6, "0")}${unfinished === undefined ? "" : `-${unfinished}`}`;
