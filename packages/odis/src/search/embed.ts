import { join } from "node:path";
import { existsSync } from "node:fs";
import {
  checkWritable,
  ConfigError,
  type Lock,
  lock,
  makeFolder,
  namesIn,
  plain,
  RunError,
  statOf,
} from "../core/index.js";
import {
  absoluteSpec,
  type DataSource,
  type DataSpec,
  dataText,
  isBare,
  parseDataSpec,
  toldNow,
  unpicked,
} from "../data/index.js";
import { bytesText, World } from "../train/index.js";
import {
  type Manifest,
  openManifest,
  readManifest,
  removeLeftovers,
  type ShardEntry,
  shardName,
  shardPath,
  type StoreModel,
  writeManifest,
} from "./manifest.js";
import { checkModel, type StoreTeacher } from "./model.js";
import { type Counts, makePart, noImages, type Part, sumOf } from "./part.js";
import { type PlannedShard, plannedShards } from "./plan.js";
import { pruned } from "./prune.js";
import { readLines, readShard, writeShard } from "./shard.js";

export interface EmbedOptions extends StoreTeacher {
  readonly source: DataSource;
  /** the source as a command line names it: `coco:photos` */
  readonly place: string;
  /** folder of the store; it is made, gone on with, or added to */
  readonly out: string;
  /** whether patches are kept, too; default: as the store has it, and no for a new one */
  readonly patches?: boolean | undefined;
  /** whether images that the source has no more are dropped; default false */
  readonly prune?: boolean | undefined;
  /** the processes that share the images; all of them call this with the same options. Default: alone */
  readonly world?: World | undefined;
  /** asked between two images */
  readonly stop?: { requested(): Promise<boolean> } | undefined;
  /** told what a person should know before it begins */
  readonly onNote?: ((note: string) => void) | undefined;
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

/** Reasons that are kept to be shown. */
const SHOWN = 5;

/**
 * Gives every image of a source, and every object in it, its vector, and keeps them in a store.
 * What is in the store stays; what is new is added. A store that was interrupted anywhere and gone
 * on with, or made by several processes, is, byte for byte, the one that one process made and nobody
 * interrupted (same machine, same threads in each).
 *
 * Of several processes each makes whole shards, in turn; all must see the store's folder. The first
 * one alone writes the list of what counts.
 *
 * @throws RunError when the folder holds something else, or vectors of another network
 */
export async function embed(options: EmbedOptions): Promise<Embedded> {
  const { out, source, world = World.alone } = options;
  const spec = parseDataSpec(options.place);
  const place = dataText(libraryOf(spec));
  if (options.prune && place !== dataText(absoluteSpec(spec)))
    throw new ConfigError(
      `${plain(dataText(spec))} is a part of a library: to prune by it would drop all other parts. Name the whole of it.`,
    );
  using _lock = world.first(() => claim(out));
  const begun = world.first(() => begin(options, place));
  const dropped = world.fromFirst(begun?.dropped ?? 0);
  const manifest = begun?.manifest ?? openManifest(out);
  const plan = plannedShards(out, manifest, manifest.places.indexOf(place), source);
  checkSame(world, plan, source);
  const room = patchRoom(manifest, plan);
  if (room !== undefined) options.onNote?.(room);
  const made = await makeShards(options, world, manifest, place, plan);
  return { ...made, dropped };
}

/**
 * Makes an empty store, or finds that there is one of this network already.
 *
 * @throws as `embed`
 */
export function beginStore(out: string, model: StoreModel): void {
  using _lock = claim(out);
  listed(out, model, []);
}

function claim(out: string): Lock {
  checkWritable(out, "store", "Make it writable, or embed into another folder.");
  checkOwn(out);
  makeFolder(join(out, "shards"));
  return lock(join(out, "lock"), `store ${plain(out)}`);
}

function begin({ out, model, teacher, source, patches, prune }: EmbedOptions, place: string) {
  const count = patches ? (model.size / teacher.recipe.model.patch) ** 2 : undefined;
  const manifest = listed(out, model, [place], patches === undefined ? undefined : { count });
  const at = manifest.places.indexOf(place);
  return prune ? pruned(out, manifest, at, source) : { manifest, dropped: 0 };
}

/** The store's list, with these places in it, on the disk. */
function listed(
  out: string,
  model: StoreModel,
  more: readonly string[],
  patches?: { readonly count: number | undefined },
): Manifest {
  const found = readManifest(out);
  const before: Manifest = found ?? {
    odis: "store",
    version: 1,
    model,
    places: [],
    ...(patches?.count === undefined ? {} : { patches: patches.count }),
    shards: [],
  };
  checkModel(out, before.model, model);
  if (patches && before.patches !== patches.count)
    throw new RunError(
      `store ${plain(out)}: was begun ${before.patches === undefined ? "without" : "with"} patches; got the ` +
        `contrary. Go on as it was begun, or embed into another folder.`,
    );
  const places = withPlaces(out, before.places, more);
  const manifest = { ...before, places };
  if (!found || places.join("\n") !== before.places.join("\n")) writeManifest(out, manifest);
  removeLeftovers(out, manifest);
  return manifest;
}

/** What a library is known by, from any working folder: with a larger part of it the same images stay the same. */
const libraryOf = (spec: DataSpec): DataSpec => unpicked(absoluteSpec(spec));

/**
 * Stores of earlier releases name places as they were typed, seen from the folder where that was, and parts of a
 * library as libraries: one is called anew. Shards know places by their number, so none is left out.
 *
 * @throws RunError when pictures alone are in it without objects
 */
function withPlaces(
  out: string,
  known: readonly string[],
  more: readonly string[],
): readonly string[] {
  const places = [...known];
  for (const place of more.filter((one) => !known.includes(one))) {
    const now = places.map((old) => toldNow(old, libraryOf));
    const { whole, ...bare } = parseDataSpec(place);
    if (whole === true && isBare(bare) && now.includes(dataText(bare)))
      throw new RunError(
        `store ${plain(out)}: was made by an earlier release, to which pictures alone had no objects. Delete it, or embed into another folder.`,
      );
    const same = now.indexOf(place);
    places[same < 0 ? places.length : same] = place;
  }
  return places;
}

/** @throws RunError when it is a file, or a folder that is no store and holds something */
export function checkOwn(out: string): void {
  const there = statOf(out);
  if (there === undefined) return;
  if (!there.isDirectory())
    throw new RunError(`store ${plain(out)}: is a file; wanted a folder. Choose another --out.`);
  if (readManifest(out)) return;
  const other = namesIn(out).find(
    (name) => !["lock", "shards"].includes(name) && !name.startsWith(".store.json."),
  );
  if (other === undefined) return;
  throw new RunError(
    `store ${plain(out)}: the folder holds other things (${plain(other)}); wanted a new or empty folder, or a store.`,
  );
}

/** @throws RunError in all processes when they are about to embed different images */
function checkSame(world: World, plan: readonly PlannedShard[], source: DataSource): void {
  if (world.size === 1) return;
  const images = plan.flatMap((shard) => shard.images);
  const ends = [images[0], images.at(-1)].map((image) => image !== undefined && source.key(image));
  const all = world.shareText(
    JSON.stringify([plan.map(({ number }) => number), images.length, ends]),
  );
  const other = all.findIndex((text) => text !== all[0]);
  if (other > 0)
    throw world.everywhere(
      new RunError(
        `rank ${other} of ${world.size} sees other images, or another store, than rank 0; wanted all to see the ` +
          `same folders.`,
      ),
    );
}

/** What the patches of the images to come will take on the disk; undefined without them. */
function patchRoom(
  { patches, model }: Manifest,
  plan: readonly PlannedShard[],
): string | undefined {
  const images = plan.reduce((sum, shard) => sum + shard.images.length, 0);
  if (patches === undefined || images === 0) return undefined;
  const each = 2 * patches * model.width;
  return (
    `patches: ${patches} of ${model.width} numbers an image, as float16 ${bytesText(each)}; ${images} images ` +
    `take ${bytesText(images * each)}`
  );
}

/** Shard by shard, one in each process at a time. */
async function makeShards(
  options: EmbedOptions,
  world: World,
  begun: Manifest,
  place: string,
  plan: readonly PlannedShard[],
): Promise<Omit<Embedded, "dropped">> {
  const { out } = options;
  const of = plan.reduce((sum, { images }) => sum + images.length, 0);
  let manifest = begun;
  let [counts, reasons]: [Counts, readonly string[]] = [noImages, []];
  for (let from = 0; from < plan.length; from += world.size) {
    const planned = plan[from + world.rank];
    const onImage = (mine: Counts): void => {
      const { done, objects, skipped } = sumOf(counts, mine);
      options.onProgress?.({ done, of, objects, skipped });
    };
    const work = planned && makeShard(options, world, { manifest, place, planned, onImage });
    const mine = await world.together(work ?? Promise.resolve(undefined));
    const round = gathered(world, mine);
    counts = round.map((one) => one.counts).reduce(sumOf, counts);
    reasons = [...reasons, ...round.flatMap((one) => one.reasons)].slice(0, SHOWN);
    manifest = withRound(manifest, round);
    world.first(() => {
      for (const { entry } of round) if (entry) checkSeen(out, entry);
      writeManifest(out, manifest);
    });
    if (round.some(({ isWhole }) => !isWhole)) return { ...counts, of, reasons, finished: false };
  }
  world.first(() => removeLeftovers(out, manifest));
  return { ...counts, of, reasons, finished: true };
}

/** What a process has made in a round. */
interface Made extends Omit<Part, "shard"> {
  readonly number: number;
  /** undefined when it was stopped before anything was there */
  readonly entry: ShardEntry | undefined;
}

async function makeShard(
  { out, source, teacher, model: { width }, stop }: EmbedOptions,
  world: World,
  job: {
    readonly manifest: Manifest;
    readonly place: string;
    readonly planned: PlannedShard;
    readonly onImage: (counts: Counts) => void;
  },
): Promise<Made> {
  const { manifest, planned, onImage } = job;
  const { number, begun, images } = planned;
  const before = begun && { lines: readLines(out, begun), ...readShard(out, manifest, begun) };
  const part = await makePart(
    {
      source,
      teacher,
      patches: manifest.patches !== undefined,
      // A process that kept nothing of its shard would leave a gap before that of the next one.
      stop: async (settled) =>
        (world.size === 1 || before !== undefined || settled > 0) &&
        ((await stop?.requested()) ?? false),
      onImage,
    },
    before,
    images,
  );
  const { shard, ...rest } = part;
  const unfinished = part.isWhole ? undefined : shard.lines.length;
  const name = shardName(number, unfinished);
  const place = manifest.places.indexOf(job.place);
  if (unfinished === 0) return { number, entry: undefined, ...rest };
  if (name === begun?.name) return { number, entry: begun, ...rest };
  return { number, entry: writeShard(out, { name, place, width }, shard), ...rest };
}

/** What all processes have made. */
function gathered(world: World, mine: Made | undefined): readonly Made[] {
  return world.shareValues(mine ?? null).flatMap((made) => made ?? []);
}

/** The store's list with what was made in a round. */
function withRound(manifest: Manifest, round: readonly Made[]): Manifest {
  const shards = [...manifest.shards];
  for (const { number, entry } of round) {
    if (!entry) continue;
    const known = shards.findIndex((shard) => shard.name.startsWith(`${shardName(number)}-`));
    if (known >= 0) shards[known] = entry;
    else shards.push(entry);
  }
  // An index that lacks some objects would not find them, and say nothing.
  return { ...manifest, index: undefined, shards };
}

/** @throws RunError when another process has written into another folder of this name */
function checkSeen(out: string, entry: ShardEntry): void {
  const file = `${shardPath(out, entry)}.jsonl`;
  if (existsSync(file)) return;
  throw new RunError(
    `store ${plain(out)}: a process says that it wrote ${plain(file)}, and it is not there; wanted a folder ` +
      `that all processes see.`,
  );
}
