import type { Tensor } from "@odis/torch";
import { ConfigError, RunError } from "../core/index.js";
import {
  type DataSource,
  dataText,
  openSource,
  parseDataSpec,
  type Sample,
} from "../data/index.js";
import { NeighbourSearch, unitRows } from "../evaluate/index.js";
import type { Teacher } from "../features/index.js";
import { type Box, objectFromRle, type SceneObject } from "../objects/index.js";
import { type ApproximateIndex, openIndex } from "./approximate.js";
import { beginStore, embed, type Embedded, type EmbedOptions } from "./embed.js";
import { type IndexEntry, openManifest, type ShardEntry, type StoreModel } from "./manifest.js";
import { loadModel, loadStoreModel, type ModelOptions } from "./model.js";
import {
  type ImageLine,
  isSkipped,
  joined,
  type ObjectLine,
  readLines,
  readVectors,
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

/** What a search found, best first. */
export interface Hit {
  /** of the objects, or of the images */
  readonly row: number;
  /** cosine, -1..1 */
  readonly similarity: number;
  readonly image: StoredImage;
  /** undefined where images were searched */
  readonly object: StoredObject | undefined;
}

export interface SearchOptions {
  /** how many; default 20 */
  readonly top?: number | undefined;
  /** default `objects` */
  readonly kind?: ItemKind | undefined;
  /** asks the index, which is fast and misses some; default false: compares with every vector */
  readonly approximate?: boolean | undefined;
  /** rows that are not wanted: the query's own */
  readonly without?: readonly number[] | undefined;
}

/** A picture, and what is meant in it; without an object, all of it. */
export interface PictureQuery {
  readonly sample: Sample;
  readonly object?: SceneObject | undefined;
}

export interface OpenStoreOptions {
  /** where the run that made it is now, if it is not where it was */
  readonly run?: string | undefined;
  readonly device?: string | undefined;
}

/** Bytes of vectors that are kept in memory, twice; beyond that every search reads them from the disk. */
const KEPT = 2 ** 30;
/** Rows that are compared at once. */
const ROWS = 16_384;
/** Tables of shards in memory: hits lie anywhere, and reading a table takes longer than a search. */
const TABLES = 512;

/**
 * Opens what `odis embed` has made. Dispose of it.
 *
 * @throws RunError when there is none, or it is damaged
 */
export function openStore(path: string, options: OpenStoreOptions = {}): Store {
  return new Store(path, options);
}

/**
 * Opens a store of a run's vectors, which is made, empty, if it is not there. Dispose of it.
 *
 * @param run as `load` takes it
 * @throws RunError when the folder holds something else, or vectors of another network
 */
export function createStore(path: string, run: string, options: ModelOptions = {}): Store {
  const { teacher, model } = loadModel(run, options);
  try {
    beginStore(path, model);
    return new Store(path, { run, device: options.device }, teacher);
  } catch (error) {
    teacher.free();
    throw error;
  }
}

/** Vectors of a library's objects and images, with what they are of. */
export class Store implements Disposable {
  private manifest: ReturnType<typeof openManifest>;
  private firsts: Readonly<Record<ItemKind, readonly number[]>>;
  private readonly tables = new Map<ShardEntry, readonly KeptLine[]>();
  private readonly vectors = new Map<ItemKind, readonly Float32Array[]>();
  private readonly units = new Map<ItemKind, readonly Tensor[]>();
  private opened: ApproximateIndex | undefined;

  /** Use `openStore`, or `createStore`. */
  constructor(
    readonly path: string,
    private readonly options: OpenStoreOptions,
    private teacher?: Teacher,
  ) {
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

  /** The approximate index, undefined where there is none, or it lacks some objects. */
  get index(): IndexEntry | undefined {
    return this.manifest.index;
  }

  /** How many. */
  size(kind: ItemKind): number {
    return this.firsts[kind].at(-1)!;
  }

  /** @throws ConfigError when there is no such row */
  image(row: number): StoredImage {
    const { shard, at } = this.find("images", row);
    return this.imageOf(shard, this.table(shard)[at]!, row);
  }

  /** @throws ConfigError when there is no such row */
  object(row: number): StoredObject {
    const { shard, index, at } = this.find("objects", row);
    const table = this.table(shard);
    const line = table.findLastIndex(({ first }) => first <= at);
    const image = this.imageOf(shard, table[line]!, this.firsts.images[index]! + line);
    return objectOf(table[line]!.objects[at - table[line]!.first]!, row, image);
  }

  /** The objects of an image. */
  objectsIn(row: number): readonly StoredObject[] {
    const { shard, index, at } = this.find("images", row);
    const line = this.table(shard)[at]!;
    const image = this.imageOf(shard, line, row);
    const first = this.firsts.objects[index]! + line.first;
    return line.objects.map((object, more) => objectOf(object, first + more, image));
  }

  /** The vector of an object or image: [width]. */
  vector(kind: ItemKind, row: number): Float32Array {
    const { width } = this.model;
    const { shard, at } = this.find(kind, row);
    const kept = this.vectors.get(kind);
    if (!kept) {
      const vectors = readVectors(this.path, this.manifest, shard)[kind];
      return vectors.slice(at * width, (at + 1) * width);
    }
    let from = row * width;
    for (const chunk of kept) {
      if (from < chunk.length) return chunk.slice(from, from + width);
      from -= chunk.length;
    }
    throw new Error(`internal: ${kind} ${row} has no vector`);
  }

  /**
   * What is most like a vector, or like an object of a picture, by the cosine of their vectors.
   *
   * @throws ConfigError for a vector of another width, or without an index where one is asked for;
   *   RunError when the network that made the store is not there to look at a picture
   */
  search(query: Float32Array | PictureQuery, options: SearchOptions = {}): Hit[] {
    const { top = 20, kind = "objects", approximate = false, without = [] } = options;
    const vector = query instanceof Float32Array ? query : this.look(query);
    if (vector.length !== this.model.width)
      throw new ConfigError(
        `search: got a vector of ${vector.length} numbers; wanted ${this.model.width}, as the store's`,
      );
    const found = (approximate ? this.near(vector, kind) : this.exact(vector, kind))(
      top + without.length,
    );
    const kept = found.filter(({ row }) => !without.includes(row)).slice(0, top);
    return kept.map(({ row, similarity }) => {
      const object = kind === "objects" ? this.object(row) : undefined;
      return { row, similarity, object, image: object?.image ?? this.image(row) };
    });
  }

  /** The vector of an object of a picture, by the network that made the store: [width]. */
  look({ sample, object }: PictureQuery): Float32Array {
    return this.network().features(sample, object);
  }

  /** Where the network that made the store is, as far as is known. */
  get from(): string {
    return this.options.run ?? this.model.from;
  }

  /** The network that made the store; loaded when first needed, freed with the store. */
  network(): Teacher {
    this.teacher ??= loadStoreModel(this.path, this.model, this.options);
    return this.teacher;
  }

  /**
   * Adds the images of a data set that are not in the store yet.
   *
   * @param place as the command line names it
   * @throws as `embed`
   */
  async add(
    place: string,
    options: Pick<EmbedOptions, "prune" | "stop" | "onProgress"> = {},
  ): Promise<Embedded> {
    const spec = parseDataSpec(place);
    const source: DataSource = await openSource(spec);
    const { model, path: out } = this;
    const teacher = this.network();
    const done = await embed({ ...options, out, source, place: dataText(spec), teacher, model });
    this.reopen();
    return done;
  }

  /** Reads the list anew: somebody has added or removed something. */
  reopen(): void {
    this.manifest = openManifest(this.path);
    this.firsts = firstsOf(this.manifest.shards);
    this.tables.clear();
    this.vectors.clear();
    this.forgetUnits();
    this.opened = undefined;
  }

  /** All vectors of a kind, in chunks of rows [m, width], in order. */
  *chunks(kind: ItemKind): Generator<Float32Array> {
    const kept = this.vectors.get(kind);
    if (kept) {
      yield* kept;
      return;
    }
    const keeps = this.fits(kind);
    const all: Float32Array[] = [];
    for (const shards of groups(this.manifest.shards, kind)) {
      const chunk = joined(
        shards.map((shard) => readVectors(this.path, this.manifest, shard)[kind]),
      );
      if (keeps) all.push(chunk);
      yield chunk;
    }
    // A reader that stopped half-way never comes here.
    if (keeps) this.vectors.set(kind, all);
  }

  /** Gives the engine's memory back; the store can be used on, and loads what it needs anew. */
  free(): void {
    this.forgetUnits();
    this.teacher?.free();
    this.teacher = undefined;
  }

  [Symbol.dispose](): void {
    this.free();
  }

  private exact(vector: Float32Array, kind: ItemKind) {
    return (top: number): readonly Scored[] => {
      using search = new NeighbourSearch(vector, this.model.width, top);
      const units = this.unitsOf(kind);
      if (units) for (const rows of units) search.addUnit(rows);
      else for (const chunk of this.chunks(kind)) search.add(chunk);
      const { rows, similarities } = search.found();
      return Array.from(rows, (row, at) => ({ row, similarity: similarities[at]! })).filter(
        ({ row }) => row >= 0,
      );
    };
  }

  /** The vectors at length 1 on the engine, where all of them are kept in memory. */
  private unitsOf(kind: ItemKind): readonly Tensor[] | undefined {
    const known = this.units.get(kind);
    if (known || !this.fits(kind)) return known;
    const units = Array.from(this.chunks(kind), (chunk) => unitRows(chunk, this.model.width));
    this.units.set(kind, units);
    return units;
  }

  private fits(kind: ItemKind): boolean {
    return this.size(kind) * this.model.width * 4 <= KEPT;
  }

  private forgetUnits(): void {
    for (const rows of [...this.units.values()].flat()) rows.free();
    this.units.clear();
  }

  private near(vector: Float32Array, kind: ItemKind) {
    if (kind !== "objects" || !this.index)
      throw new ConfigError(
        kind === "objects"
          ? `store ${this.path}: has no index of all its objects. Make one: odis embed … --index`
          : "an approximate search finds objects only; search images exactly",
      );
    this.opened ??= openIndex(this.path, this.model.width, this.index);
    const { opened } = this;
    return (top: number): readonly Scored[] => opened.search(vector, top);
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

  private table(shard: ShardEntry): readonly KeptLine[] {
    const known = this.tables.get(shard);
    if (known) return known;
    let first = 0;
    const table = readLines(this.path, shard).flatMap((line): KeptLine[] => {
      if (isSkipped(line)) return [];
      const kept = { ...line, first };
      first += line.objects.length;
      return [kept];
    });
    if (this.tables.size >= TABLES) this.tables.delete(this.tables.keys().next().value!);
    this.tables.set(shard, table);
    return table;
  }

  private imageOf(
    { place }: ShardEntry,
    { image, width, height }: KeptLine,
    row: number,
  ): StoredImage {
    const name = this.manifest.places[place];
    if (name === undefined)
      throw new RunError(`store ${this.path}: names no data set ${place}. Restore its store.json.`);
    return { row, key: image, place: name, width, height };
  }
}

interface Scored {
  readonly row: number;
  readonly similarity: number;
}

/** With the first of its objects among those of its shard. */
type KeptLine = Exclude<ImageLine, { skipped: string }> & { readonly first: number };

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
