import { createHash } from "node:crypto";
import { fromBuffer, tidy } from "@odis/torch";
import { counted, ConfigError, plain, RunError } from "../core/index.js";
import { type Box, objectFromRle, type SceneObject } from "../objects/index.js";
import { type IndexEntry, openManifest, type ShardEntry, type StoreModel } from "./manifest.js";
import {
  joined,
  type ObjectLine,
  type PlacedLine,
  readPatches,
  readTable,
  readVectors,
  ShardTable,
} from "./shard.js";

/** What has vectors: objects, each with its mask, or images as a whole. */
export const itemKinds = ["objects", "images"] as const;
export type ItemKind = (typeof itemKinds)[number];

/** An image in a store. */
export interface StoredImage {
  readonly row: number;
  /** its name in its data set */
  readonly key: string;
  /** its data set, as the command line names it */
  readonly place: string;
  readonly width: number;
  readonly height: number;
}

/** An object in a store. */
export interface StoredObject {
  readonly row: number;
  readonly image: StoredImage;
  /** among the objects of its image */
  readonly id: number;
  readonly box: Box;
  readonly class: string | undefined;
  readonly score: number | undefined;
  /** its mask; drawn when somebody asks for pixels */
  mask(): SceneObject;
}

/** Rows that are compared at once. */
const ROWS = 16_384;
/** Letters of the shards' tables that are kept: hits lie anywhere, and reading takes as long as a search. */
const TABLES = 2 ** 28;

/** What lies in a store: its images, the objects in them, and the vectors of both. */
export class StoreRows {
  protected manifest: ReturnType<typeof openManifest>;
  private firsts: Readonly<Record<ItemKind, readonly number[]>>;
  private readonly tables = new Map<ShardEntry, ShardTable>();
  private kept = 0;

  /** @throws RunError when there is no store, or it is damaged */
  constructor(readonly path: string) {
    this.manifest = openManifest(path);
    this.firsts = firstsOf(this.manifest.shards);
  }

  get model(): StoreModel {
    return this.manifest.model;
  }

  /** Data sets that its images are from. */
  get places(): readonly string[] {
    return this.manifest.places;
  }

  /**
   * Hex, of the network and of everything that the tables say: images, objects, their masks and classes. Reads
   * all tables. Pictures that others were put in place of, under the same names, stay unseen.
   *
   * @throws RunError when a table is gone
   */
  fingerprint(): string {
    const { model, places, shards } = this.manifest;
    const hash = createHash("sha256").update(JSON.stringify([model, places, shards]));
    for (const shard of shards) hash.update(readTable(this.path, shard).bytes);
    return hash.digest("hex");
  }

  /** The approximate index, undefined where there is none, or it lacks some objects. */
  get index(): IndexEntry | undefined {
    return this.manifest.index;
  }

  /** How many. */
  size(kind: ItemKind): number {
    return this.firsts[kind].at(-1)!;
  }

  /**
   * @param instead what else could be done, a clause
   * @throws RunError when there are none: nothing would be found, and nothing shown
   */
  checkSome(kind: ItemKind, instead = ""): void {
    if (this.size(kind) > 0) return;
    throw new RunError(
      `store ${plain(this.path)}: has ${counted(this.size("images"), "image")} and no ${kind}. ` +
        (kind === "objects"
          ? `Add pictures with objects: odis embed RUN PLACE --out STORE${instead}`
          : "Add some: odis embed RUN PLACE --out STORE"),
    );
  }

  /** @throws ConfigError when there is no such row */
  image(row: number): StoredImage {
    const { shard, at } = this.find("images", row);
    return this.imageOf(shard, this.table(shard).image(at), row);
  }

  /** @throws ConfigError when there is no such row */
  object(row: number): StoredObject {
    const { shard, index, at } = this.find("objects", row);
    const table = this.table(shard);
    const which = table.imageOf(at);
    const line = table.image(which);
    const image = this.imageOf(shard, line, this.firsts.images[index]! + which);
    return objectOf(line.objects[at - line.first]!, row, image);
  }

  /** The objects of an image. */
  objectsIn(row: number): readonly StoredObject[] {
    const { shard, index, at } = this.find("images", row);
    const line = this.table(shard).image(at);
    const image = this.imageOf(shard, line, row);
    const first = this.firsts.objects[index]! + line.first;
    return line.objects.map((object, more) => objectOf(object, first + more, image));
  }

  /**
   * The patch tokens of an image, row by row of the patch grid, as float16 kept them: [N, width].
   *
   * @throws RunError when the store was made without them
   */
  patches(image: number): Float32Array {
    const { manifest, path } = this;
    if (manifest.patches === undefined)
      throw new RunError(
        `store ${plain(path)}: keeps no patches. Embed into another folder with them: odis embed … --patches`,
      );
    const { shard, index } = this.find("images", image);
    const row = image - this.firsts.images[index]!;
    const [bits] = readPatches(path, manifest, shard, [row]);
    return tidy(() => {
      const { patches, model } = manifest;
      const half = fromBuffer(bits!, [patches!, model.width], { dtype: "float16" });
      return half.to({ dtype: "float32" }).toFloat32();
    });
  }

  /** The vector of an object or image: [width]. */
  vector(kind: ItemKind, row: number): Float32Array {
    const { width } = this.model;
    const { shard, at } = this.find(kind, row);
    const vectors = readVectors(this.path, this.manifest, shard)[kind];
    return vectors.slice(at * width, (at + 1) * width);
  }

  /** Reads the list anew: somebody has added or removed something. */
  reopen(): void {
    this.manifest = openManifest(this.path);
    this.firsts = firstsOf(this.manifest.shards);
    this.tables.clear();
    this.kept = 0;
  }

  /** All vectors of a kind, in chunks of rows [m, width], in order; read anew each time. */
  *chunks(kind: ItemKind): Generator<Float32Array> {
    for (const shards of groups(this.manifest.shards, kind))
      yield joined(shards.map((shard) => readVectors(this.path, this.manifest, shard)[kind]));
  }

  private find(kind: ItemKind, row: number) {
    const firsts = this.firsts[kind];
    if (!Number.isInteger(row) || row < 0 || row >= firsts.at(-1)!)
      throw new ConfigError(`store: has no row ${row} of its ${firsts.at(-1)} ${kind}`);
    let [low, high] = [0, firsts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (firsts[middle]! <= row) low = middle;
      else high = middle;
    }
    return { shard: this.manifest.shards[low]!, index: low, at: row - firsts[low]! };
  }

  private table(shard: ShardEntry): ShardTable {
    const known = this.tables.get(shard);
    if (known) return known;
    const table = new ShardTable(this.path, shard);
    this.kept += table.size;
    for (const [old, { size }] of this.tables) {
      if (this.kept <= TABLES) break;
      this.tables.delete(old);
      this.kept -= size;
    }
    this.tables.set(shard, table);
    return table;
  }

  private imageOf(
    { place }: ShardEntry,
    { image, width, height }: PlacedLine,
    row: number,
  ): StoredImage {
    const name = this.manifest.places[place];
    if (name === undefined)
      throw new RunError(
        `store ${plain(this.path)}: names no data set ${place}. Restore its store.json.`,
      );
    return { row, key: image, place: name, width, height };
  }
}

/** Rows before each shard, and all rows. */
function firstsOf(shards: readonly ShardEntry[]): Record<ItemKind, readonly number[]> {
  const sums = (kind: ItemKind): number[] => {
    const firsts = [0];
    for (const shard of shards) firsts.push(firsts.at(-1)! + shard[kind]);
    return firsts;
  };
  return { objects: sums("objects"), images: sums("images") };
}

/** Neighbouring shards together, so that each product has enough rows. */
function groups(shards: readonly ShardEntry[], kind: ItemKind): ShardEntry[][] {
  const all: ShardEntry[][] = [];
  let rows = Infinity;
  for (const shard of shards) {
    if (rows + shard[kind] > ROWS) {
      all.push([]);
      rows = 0;
    }
    all.at(-1)!.push(shard);
    rows += shard[kind];
  }
  return all;
}

function objectOf(line: ObjectLine, row: number, image: StoredImage): StoredObject {
  const { id, box, rle, score } = line;
  const [x, y, width, height] = box;
  const size = [image.height, image.width];
  return {
    row,
    image,
    id,
    box: { x, y, width, height },
    class: line.class,
    score,
    mask: () => objectFromRle({ size, counts: rle }, image, { id, score }),
  };
}
