import type { DataSource } from "../data/index.js";
import { isUnfinished, type Manifest, nextShard, numberOf, type ShardEntry } from "./manifest.js";
import { readLines } from "./shard.js";

/** Images in a shard: what is done again after a crash, and what decides how a store is cut. */
const SHARD = 128;

/** A shard that is to be made, or gone on with. */
export interface PlannedShard {
  readonly number: number;
  /** what there is of it */
  readonly begun: ShardEntry | undefined;
  /** the images to add, indices of the source */
  readonly images: readonly number[];
}

/**
 * The shards that a source's images are still to make, so that the store is cut as one that nobody
 * interrupted: those that were stopped take the images that follow theirs, the others come after.
 */
export function plannedShards(
  store: string,
  manifest: Manifest,
  place: number,
  source: DataSource,
): readonly PlannedShard[] {
  const mine = manifest.shards.filter((shard) => shard.place === place);
  const known = new Set<string>();
  const unfinished: { readonly begun: ShardEntry; readonly key: string }[] = [];
  // Of each table the keys alone stay: masks of a million images are gigabytes.
  for (const begun of mine) {
    const lines = readLines(store, begun);
    for (const { image } of lines) known.add(image);
    if (isUnfinished(begun)) unfinished.push({ begun, key: lines.at(-1)!.image });
  }
  let rest = missing(source, known);
  const plan: PlannedShard[] = [];
  const places = unfinished.length > 0 ? placesOf(source) : undefined;
  for (const { begun, key } of unfinished) {
    const last = places?.get(key) ?? -1;
    const first = rest.findIndex((image) => image > last);
    const from = first < 0 ? rest.length : first;
    const to = from + SHARD - begun.lines;
    plan.push({ number: numberOf(begun), begun, images: rest.slice(from, to) });
    rest = [...rest.slice(0, from), ...rest.slice(to)];
  }
  let number = nextShard(manifest);
  for (let from = 0; from < rest.length; from += SHARD, number += 1)
    plan.push({ number, begun: undefined, images: rest.slice(from, from + SHARD) });
  return plan;
}

/** Images of the source that the store does not know, each key once, in the source's order. */
function missing(source: DataSource, known: Set<string>): readonly number[] {
  const todo: number[] = [];
  for (let image = 0; image < source.size; image += 1) {
    const key = source.key(image);
    if (known.has(key)) continue;
    known.add(key);
    todo.push(image);
  }
  return todo;
}

/** Where each image stands first. */
function placesOf(source: DataSource): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  for (let image = 0; image < source.size; image += 1) {
    const key = source.key(image);
    if (!places.has(key)) places.set(key, image);
  }
  return places;
}
