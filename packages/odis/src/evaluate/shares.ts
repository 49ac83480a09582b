import { cat, empty, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { type FeatureSet, type Item, pick } from "../features/index.js";
import type { World } from "../train/index.js";
import { NeighbourSearch, type Neighbours, sizes, unit } from "./neighbours.js";

/**
 * Features of objects that several processes have read: each keeps the rows of its images, in the
 * order of ranks. What the rows are of, all of them know.
 */
export interface SharedSet {
  /** this process's rows */
  readonly own: FeatureSet;
  /** rows of others before its own */
  readonly first: number;
  /** of all rows */
  readonly items: readonly Item[];
  /** of all rows */
  readonly labels: Int32Array;
}

/** Some rows, ascending; each stays where it is. */
export function pickShared(
  { own, first, items, labels }: SharedSet,
  rows: readonly number[],
): SharedSet {
  const end = first + own.labels.length;
  return {
    own: pick(
      own,
      rows.filter((row) => row >= first && row < end).map((row) => row - first),
    ),
    first: rows.filter((row) => row < first).length,
    items: rows.map((row) => items[row]!),
    labels: Int32Array.from(rows, (row) => labels[row]!),
  };
}

/**
 * All rows of all processes, in every one of them, some at a time; each tensor [m, width] is freed. They
 * come in the same pieces, whoever has them: of equally near rows the same one is found then.
 */
function* streamed(world: World, { own }: SharedSet, device: string): Iterable<Tensor> {
  const { features, width, labels } = own;
  const ends = world
    .share([labels.length])
    .reduce<number[]>((all, [count]) => [...all, (all.at(-1) ?? 0) + count!], []);
  const total = ends.at(-1)!;
  const mine = ends[world.rank]! - labels.length;
  for (let begin = 0; begin < total; begin += sizes.rows) {
    const end = Math.min(total, begin + sizes.rows);
    const parts = ends.flatMap((until, rank) => {
      const [from, to] = [Math.max(begin, ends[rank - 1] ?? 0), Math.min(end, until)];
      if (from >= to) return [];
      const own =
        rank === world.rank && features.subarray((from - mine) * width, (to - mine) * width);
      const shape = [to - from, width];
      const part = own ? fromBuffer(own, shape, { device }) : empty(shape, { device });
      world.broadcast([part], rank);
      return [part];
    });
    const rows = parts.length === 1 ? parts[0]! : cat(parts, 0);
    try {
      yield rows;
    } finally {
      for (const tensor of new Set([rows, ...parts])) tensor.free();
    }
  }
}

/** Of the processes that an evaluation is shared by, and where tensors lie. */
export interface Sharing {
  readonly world: World;
  readonly device: string;
}

/**
 * The k most similar rows of the bank for this process's queries. The bank passes by: no process needs
 * more memory than for its own rows, its queries, and a block of similarities.
 */
export function sharedNearest(
  bank: SharedSet,
  queries: Pick<FeatureSet, "features" | "width">,
  k: number,
  { world, device }: Sharing,
): Neighbours {
  using search = new NeighbourSearch(queries.features, queries.width, k, device);
  for (const rows of streamed(world, bank, device)) {
    const keys = noGrad(() => tidy(() => unit(rows)));
    search.addUnit(keys);
    keys.free();
  }
  return search.found();
}

/** Some rows, in any order, in all processes. */
export function rowsEverywhere(
  set: SharedSet,
  rows: readonly number[],
  { world, device }: Sharing,
): FeatureSet {
  const { own, first, items, labels } = set;
  const { width } = own;
  const features = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries()) {
    const from = (row - first) * width;
    if (row >= first && from < own.features.length)
      features.set(own.features.subarray(from, from + width), to * width);
  }
  const whole = tidy(() => {
    const all = fromBuffer(features, [rows.length, width], { device });
    world.sum([all]); // one process has a row, all others zeros
    return all.toFloat32();
  });
  return {
    features: whole,
    width,
    items: rows.map((row) => items[row]!),
    labels: Int32Array.from(rows, (row) => labels[row]!),
  };
}

/** All rows, in the first process; it alone needs memory for them. */
function inFirst(set: SharedSet, { world, device }: Sharing): FeatureSet {
  if (world.size === 1) return set.own;
  const { width } = set.own;
  const features = new Float32Array(world.rank === 0 ? set.labels.length * width : 0);
  let to = 0;
  for (const rows of streamed(world, set, device)) {
    if (world.rank > 0) continue;
    const block = rows.toFloat32();
    features.set(block, to);
    to += block.length;
  }
  return { features, width, items: set.items, labels: set.labels };
}

/**
 * What only one process works out, from all rows, while the others wait.
 *
 * @param work calls `alive` now and then, or the others take the first process for gone
 * @returns undefined in the others
 */
export function byFirst<T>(
  sets: readonly [SharedSet, SharedSet],
  sharing: Sharing,
  work: (bank: FeatureSet, queries: FeatureSet, alive: () => void) => T,
): T | undefined {
  const [bank, queries] = sets.map((set) => inFirst(set, sharing));
  return sharing.world.first((alive) => work(bank!, queries!, alive));
}

/** Numbers of all processes, one after the other. */
export function joined<T extends Uint8Array | Int32Array | Float32Array>(world: World, mine: T): T {
  if (world.size === 1) return mine;
  const parts = world.shareBytes(new Uint8Array(mine.buffer, mine.byteOffset, mine.byteLength));
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const kind = mine.constructor as new (length: number) => T;
  const all = new kind(length / mine.BYTES_PER_ELEMENT);
  const bytes = new Uint8Array(all.buffer);
  let to = 0;
  for (const part of parts) {
    bytes.set(part, to);
    to += part.length;
  }
  return all;
}

/** Rows of a list that several processes have parts of. */
export interface Share {
  /** rows of others before this process's */
  readonly first: number;
  /** rows of all */
  readonly total: number;
}

/** @param count this process's rows */
export function shareOf(world: World, count: number): Share {
  const counts = world.share([count]).map(([one]) => one!);
  const upTo = (rank: number): number => counts.slice(0, rank).reduce((sum, one) => sum + one, 0);
  return { first: upTo(world.rank), total: upTo(world.size) };
}
