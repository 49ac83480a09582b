import type { Tensor } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import {
  type DataSource,
  dataText,
  openSource,
  parseDataSpec,
  type Sample,
  withWholes,
} from "../data/index.js";
import { NeighbourSearch, unitRows } from "../evaluate/index.js";
import type { Teacher } from "../features/index.js";
import type { SceneObject } from "../objects/index.js";
import { type ApproximateIndex, openIndex } from "./approximate.js";
import { beginStore, embed, type Embedded, type EmbedOptions } from "./embed.js";
import { loadModel, loadStoreModel, type ModelOptions } from "./model.js";
import { type ItemKind, type StoredImage, type StoredObject, StoreRows } from "./rows.js";

/** Bytes of the vectors of a kind that are kept on the engine; more are read from the disk by each exact search. */
const KEPT = 2 ** 30;

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

/** What a search among objects found. */
export interface ObjectHit extends Hit {
  readonly object: StoredObject;
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

/** Vectors of a library's objects and images, with what they are of, and the network that made them. */
export class Store extends StoreRows implements Disposable {
  private readonly units = new Map<ItemKind, readonly Tensor[]>();
  private opened: ApproximateIndex | undefined;

  /** Use `openStore`, or `createStore`. */
  constructor(
    path: string,
    private readonly options: OpenStoreOptions,
    private teacher?: Teacher,
  ) {
    super(path);
  }

  /**
   * What is most like a vector, or like an object of a picture, by the cosine of their vectors.
   *
   * @throws ConfigError for a vector of another width, or without an index where one is asked for;
   *   RunError when the network that made the store is not there to look at a picture
   */
  search(
    query: Float32Array | PictureQuery,
    options?: SearchOptions & { readonly kind?: "objects" | undefined },
  ): ObjectHit[];
  search(query: Float32Array | PictureQuery, options?: SearchOptions): Hit[];
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
   * Adds the images of a data set that are not in the store yet; of pictures alone each one is an
   * object as a whole.
   *
   * @param place as the command line names it
   * @throws as `embed`
   */
  async add(
    place: string,
    options: Pick<EmbedOptions, "prune" | "stop" | "onProgress"> = {},
  ): Promise<Embedded> {
    const spec = withWholes(parseDataSpec(place));
    const source: DataSource = await openSource(spec);
    const { model, path: out } = this;
    const teacher = this.network();
    const done = await embed({ ...options, out, source, place: dataText(spec), teacher, model });
    this.reopen();
    return done;
  }

  override reopen(): void {
    super.reopen();
    this.forgetUnits();
    this.opened = undefined;
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
    if (known || this.size(kind) * this.model.width * 4 > KEPT) return known;
    const units = Array.from(this.chunks(kind), (chunk) => unitRows(chunk, this.model.width));
    this.units.set(kind, units);
    return units;
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
}

interface Scored {
  readonly row: number;
  readonly similarity: number;
}
