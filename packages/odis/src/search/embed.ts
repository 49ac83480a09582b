import { join } from "node:path";
import { readdirSync } from "node:fs";
import {
  BadImageError,
  checkWritable,
  type Lock,
  lock,
  makeFolder,
  plain,
  RunError,
} from "../core/index.js";
import { type DataSource, readAhead, type Sample } from "../data/index.js";
import type { FeatureQuery, Teacher } from "../features/index.js";
import { formatCounts, rleFromMask, type SceneObject } from "../objects/index.js";
import {
  type Manifest,
  nextShard,
  readManifest,
  removeLeftovers,
  shardName,
  type StoreModel,
  writeManifest,
} from "./manifest.js";
import { checkModel, type StoreTeacher } from "./model.js";
import { pruned } from "./prune.js";
import {
  type ImageLine,
  joined,
  type ObjectLine,
  readLines,
  type Shard,
  writeShard,
} from "./shard.js";

export interface EmbedOptions extends StoreTeacher {
  readonly source: DataSource;
  /** the source as a command line names it: `coco:photos` */
  readonly place: string;
  /** folder of the store; it is made, gone on with, or added to */
  readonly out: string;
  /** whether images that the source has no more are dropped; default false */
  readonly prune?: boolean | undefined;
  /** asked between two images */
  readonly stop?: { requested(): Promise<boolean> } | undefined;
  readonly onProgress?: ((progress: EmbedProgress) => void) | undefined;
}

export interface EmbedProgress {
  /** of those that were not in the store yet */
  readonly done: number;
  readonly of: number;
  readonly objects: number;
  readonly skipped: number;
}

export interface Embedded extends EmbedProgress {
  readonly finished: boolean;
  /** objects that no pixel of the frame shows; they have no vector */
  readonly unseen: number;
  /** images that were dropped */
  readonly dropped: number;
  /** the first images that could not be used, and why */
  readonly reasons: readonly string[];
}

/** Images in a shard: what is done again after a crash, and what decides how a store is cut. */
const SHARD = 128;
/** Pictures that are decoded while the engine works. */
const TOGETHER = 8;
/** Vectors computed at a time, and bytes of pictures kept for them: more are no faster. */
const [QUERIES, BYTES] = [128, 2 ** 28];
/** Reasons that are kept to be shown. */
const SHOWN = 5;

/**
 * Gives every image of a source, and every object in it, its vector, and keeps them in a store.
 * What is in the store stays; what is new is added. A store that was interrupted anywhere and gone
 * on with is, byte for byte, the one that nobody interrupted (same machine, same threads).
 *
 * @throws RunError when the folder holds something else, or vectors of another network
 */
export async function embed(options: EmbedOptions): Promise<Embedded> {
  const { out, source, place, teacher, model, stop } = options;
  using _lock = claim(out);
  let manifest = begin(out, model, [place]);
  const at = manifest.places.indexOf(place);
  const kept = options.prune ? pruned(out, manifest, at, source) : { manifest, dropped: 0 };
  manifest = kept.manifest;
  const todo = missing(out, manifest, at, source);
  const tally = new Tally(todo.length, options.onProgress);
  for (let from = 0; from < todo.length; from += SHARD) {
    const shard = await embedShard(source, todo.slice(from, from + SHARD), teacher, tally, stop);
    if (!shard) return { ...tally.result(), finished: false, dropped: kept.dropped };
    const name = shardName(nextShard(manifest));
    const entry = writeShard(out, { name, place: at, width: model.width }, shard);
    // An index that lacks some objects would not find them, and say nothing.
    manifest = { ...manifest, index: undefined, shards: [...manifest.shards, entry] };
    writeManifest(out, manifest);
  }
  removeLeftovers(out, manifest);
  return { ...tally.result(), finished: true, dropped: kept.dropped };
}

/**
 * Makes an empty store, or finds that there is one of this network already.
 *
 * @throws as `embed`
 */
export function beginStore(out: string, model: StoreModel): void {
  using _lock = claim(out);
  begin(out, model, []);
}

function claim(out: string): Lock {
  checkWritable(out, "store", "Make it writable, or embed into another folder.");
  makeFolder(join(out, "shards"));
  return lock(join(out, "lock"), `store ${plain(out)}`);
}

/** The store's list, with these places in it, on the disk. */
function begin(out: string, model: StoreModel, more: readonly string[]): Manifest {
  const found = readManifest(out);
  if (!found) checkEmpty(out);
  const before: Manifest = found ?? { odis: "store", version: 1, model, places: [], shards: [] };
  checkModel(out, before.model, model);
  const places = [...new Set([...before.places, ...more])];
  const manifest = { ...before, places };
  if (!found || places.length > before.places.length) writeManifest(out, manifest);
  removeLeftovers(out, manifest);
  return manifest;
}

/** @throws RunError when a folder that is no store holds something */
function checkEmpty(out: string): void {
  const other = readdirSync(out).find(
    (name) => !["lock", "shards"].includes(name) && !name.startsWith(".store.json."),
  );
  if (other === undefined) return;
  throw new RunError(
    `store ${plain(out)}: the folder holds other things (${plain(other)}); wanted a new or empty folder, or a store.`,
  );
}

/** Images of the source that the store does not know, each key once, in the source's order. */
function missing(
  out: string,
  { shards }: Manifest,
  place: number,
  source: DataSource,
): readonly number[] {
  const known = new Set<string>();
  for (const shard of shards)
    if (shard.place === place) for (const { image } of readLines(out, shard)) known.add(image);
  const todo: number[] = [];
  for (let image = 0; image < source.size; image += 1) {
    const key = source.key(image);
    if (known.has(key)) continue;
    known.add(key);
    todo.push(image);
  }
  return todo;
}

/** @returns undefined when it was asked to stop */
async function embedShard(
  source: DataSource,
  images: readonly number[],
  teacher: Teacher,
  tally: Tally,
  stop: EmbedOptions["stop"],
): Promise<Shard | undefined> {
  const lines: ImageLine[] = [];
  const vectors = new Vectors(teacher);
  const read = async (image: number): Promise<Sample | BadImageError> => {
    try {
      return await source.read(image);
    } catch (error) {
      if (error instanceof BadImageError) return error;
      throw error;
    }
  };
  for await (const [image, sample] of readAhead(images, read, TOGETHER)) {
    if (await stop?.requested()) return undefined;
    if (sample instanceof BadImageError) {
      lines.push({ image: source.key(image), skipped: sample.reason });
      tally.skipped(sample);
      continue;
    }
    const objects = sample.objects.filter(
      (object) => object.area > 0 && teacher.sees(sample, object),
    );
    vectors.add(sample, objects);
    const { width, height } = sample;
    const entries = objects.map((object) => objectLine(object, sample, source.classes));
    lines.push({ image: source.key(image), width, height, objects: entries });
    tally.embedded(objects.length, sample.objects.length - objects.length);
  }
  return { lines, ...vectors.finish() };
}

function objectLine(
  object: SceneObject,
  { width, height }: Sample,
  classes: readonly string[],
): ObjectLine {
  const { id, box, label, score } = object;
  const name = classes[label];
  return {
    id,
    box: [box.x, box.y, box.width, box.height],
    rle: formatCounts(rleFromMask(object.pixels(), width, height).counts),
    ...(name === undefined ? {} : { class: name }),
    ...(score === undefined ? {} : { score }),
  };
}

/** Collects what is asked of the network, so that it works on many at once. */
class Vectors {
  private waiting: FeatureQuery[] = [];
  private bytes = 0;
  private readonly done: { readonly images: Float32Array[]; readonly objects: Float32Array[] } = {
    images: [],
    objects: [],
  };

  constructor(private readonly teacher: Teacher) {}

  add(sample: Sample, objects: readonly SceneObject[]): void {
    this.waiting.push({ sample }, ...objects.map((object) => ({ sample, object })));
    this.bytes += sample.rgb.length;
    // Cut by what came in this shard alone: the same vectors, whenever it is computed.
    if (this.waiting.length >= QUERIES || this.bytes >= BYTES) this.compute();
  }

  finish(): Pick<Shard, "images" | "objects"> {
    if (this.waiting.length > 0) this.compute();
    return { images: joined(this.done.images), objects: joined(this.done.objects) };
  }

  private compute(): void {
    const { width } = this.teacher;
    const all = this.teacher.featuresOf(this.waiting);
    for (const [row, { object }] of this.waiting.entries())
      this.done[object ? "objects" : "images"].push(all.subarray(row * width, (row + 1) * width));
    this.waiting = [];
    this.bytes = 0;
  }
}

class Tally {
  private readonly now = { done: 0, objects: 0, skipped: 0, unseen: 0 };
  private readonly reasons: string[] = [];

  constructor(
    private readonly of: number,
    private readonly onProgress: EmbedOptions["onProgress"],
  ) {}

  embedded(objects: number, unseen: number): void {
    this.now.objects += objects;
    this.now.unseen += unseen;
    this.next();
  }

  skipped({ message }: BadImageError): void {
    this.now.skipped += 1;
    if (this.reasons.length < SHOWN) this.reasons.push(message);
    this.next();
  }

  result() {
    return { ...this.now, of: this.of, reasons: this.reasons };
  }

  private next(): void {
    this.now.done += 1;
    this.onProgress?.({ ...this.now, of: this.of });
  }
}
