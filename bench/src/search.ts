import { statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setThreads } from "@odis/torch";
import { makeIndex, openStore, type Store } from "../../packages/odis/dist/search/index.js";
import { writeMadeStore } from "./made-store.js";
import { median, repeat, residentBytes } from "./measure.js";
import { duration, megabytes, percent, printTable } from "./table.js";

/** ViT-S features; objects in an image, and images in a shard, as stores have them. */
const [WIDTH, OBJECTS, IMAGES] = [384, 8, 128];
/** Kinds of things: vectors lie round so many directions, as those of a network do. */
const KINDS = 1000;
/** Queries that are timed. */
const [EXACT, APPROXIMATE] = [5, 200];

/**
 * Searches in a store of made-up vectors: time a query, from the vector to the rows with their images and
 * masks, exact and by the index, the share of the true ten nearest that the index finds, and the memory that
 * answering takes.
 *
 * @param vectors how many objects, 2 or more; a last shard is filled
 */
export async function benchSearch(threads: number, vectors: number): Promise<void> {
  setThreads(threads);
  const folder = await mkdtemp(join(tmpdir(), "odis-bench-"));
  try {
    const objects = writeMadeStore(folder, {
      shards: Math.ceil(vectors / (OBJECTS * IMAGES)),
      images: IMAGES,
      objects: OBJECTS,
      width: WIDTH,
      place: "folder:/nowhere",
      image: (image) => ({ image: `${image}.jpg`, width: 64, height: 64, objects: things }),
      vector: vectorOf,
    });
    const began = performance.now();
    const index = indexed(folder, threads);
    const built = (performance.now() - began) / 1000;
    const making = residentBytes("self", "VmHWM");
    // The store of somebody who only asks: opened anew, by the index first.
    using store = openStore(folder);
    const before = residentBytes();
    const approximate = timed(store, APPROXIMATE, true);
    const answering = residentBytes() - before;
    const exact = timed(store, EXACT, false);
    const sorted = approximate.toSorted((a, b) => a - b);
    printTable(`search among ${objects} vectors of ${WIDTH}, the best 20, ${threads} threads`, [
      ["", "median", "slowest twentieth"],
      ["exact", duration(median(exact)), ""],
      [
        "by the index",
        duration(median(approximate)),
        duration(sorted[Math.floor(0.95 * sorted.length)]!),
      ],
      ["finds of the ten nearest", percent(index.recall), ""],
      ["making the index, once", duration(built), ""],
      ["its file, which is mapped", megabytes(statSync(join(folder, "objects.usearch")).size), ""],
      ["memory more after the answers by the index", megabytes(answering), ""],
      ["most memory while the index was made", megabytes(making), ""],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function indexed(folder: string, threads: number) {
  using store = openStore(folder);
  return makeIndex(store, { threads })!;
}

/** Seconds of each query: objects of the store itself, evenly spread; the first ones warm up. */
function timed(store: Store, count: number, approximate: boolean): number[] {
  const size = store.size("objects");
  let at = 0;
  return repeat(
    () => {
      const query = vectorOf(Math.floor((at * 7919) % size));
      at += 1;
      store.search(query, { top: 20, approximate });
    },
    count,
    3,
  );
}

const things = Array.from({ length: OBJECTS }, (_, id) => ({
  id,
  box: [8 * id, 8, 8, 8] as [number, number, number, number],
  rle: "0",
  class: "thing",
}));

/** The vector of an object: a direction of its kind, and half as much of its own. */
function vectorOf(row: number): Float32Array {
  const kind = noise(row % KINDS);
  const own = noise(KINDS + row);
  return kind.map((value, at) => value + 0.5 * own[at]!);
}

/** [WIDTH] of a linear congruential generator, -1..1 */
function noise(seed: number): Float32Array {
  const values = new Float32Array(WIDTH);
  let state = Math.imul(seed + 1, 2_654_435_761) >>> 0;
  for (let at = 0; at < WIDTH; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[at] = state / 2 ** 31 - 1;
  }
  return values;
}
