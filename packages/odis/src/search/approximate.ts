import { createRequire } from "node:module";
import { renameSync } from "node:fs";
import { ConfigError, plain, RunError, reasonOf, statOf, syncFolder } from "../core/index.js";
import { NeighbourSearch } from "../evaluate/index.js";
import { Nearest } from "../portable/index.js";
import { type IndexEntry, indexFile, openManifest, writeManifest } from "./manifest.js";
import type { Store } from "./store.js";

/** What is used of `usearch`, which is an optional dependency. */
interface Usearch {
  readonly Index: new (options: {
    metric: "cos";
    dimensions: number;
    connectivity: number;
    expansion_add: number;
    expansion_search: number;
    quantization: "f16";
  }) => {
    add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
    search(
      vectors: Float32Array,
      k: number,
      threads: number,
    ): { readonly keys: BigUint64Array; readonly distances: Float32Array };
    size(): number;
    save(path: string): void;
    view(path: string): void;
  };
}

/** Finds most of the nearest rows without comparing with all. */
export interface ApproximateIndex {
  search(
    vector: Float32Array,
    top: number,
  ): readonly { readonly row: number; readonly similarity: number }[];
}

/**
 * Links of a row in the graph, and how many rows are looked at when one is added or searched. The graph keeps
 * vectors of its own as float16: half the file and two thirds of the time of float32, and cosines within 5e-5.
 */
const graph = {
  connectivity: 16,
  expansion_add: 128,
  expansion_search: 128,
  quantization: "f16",
} as const;
/** Rows whose true cosines differ by less are as good as each other: more than rounding changes. */
const EQUAL = 1e-5;
/** Neighbours, and objects, that the recall is measured with. */
const [NEIGHBOURS, TRIED] = [10, 200];

/** @throws ConfigError when the package is not installed */
function loadUsearch(): Usearch {
  try {
    return createRequire(import.meta.url)("usearch") as Usearch;
  } catch (cause) {
    throw new ConfigError(
      `the index needs the package usearch, which is not installed (${plain(reasonOf(cause))}): ` +
        `npm install usearch, or search without an index`,
      undefined,
      { cause },
    );
  }
}

const newIndex = (width: number) =>
  new (loadUsearch().Index)({ metric: "cos", dimensions: width, ...graph });

/**
 * Makes the index of a store's objects and measures how many of the true neighbours it finds.
 *
 * @param store with at least two objects
 * @param threads that add objects; with one, the same vectors give the same file
 * @throws ConfigError when `usearch` is not installed
 */
export function makeIndex(
  store: Store,
  {
    threads = 1,
    onProgress,
  }: { threads?: number | undefined; onProgress?: (done: number, of: number) => void } = {},
): IndexEntry | undefined {
  const { width } = store.model;
  const objects = store.size("objects");
  if (objects < 2) return undefined;
  const index = newIndex(width);
  let done = 0;
  for (const chunk of store.chunks("objects")) {
    for (let from = 0; from < chunk.length; from += STEP * width) {
      const some = chunk.subarray(from, from + STEP * width);
      const count = some.length / width;
      index.add(
        BigUint64Array.from({ length: count }, (_, at) => BigInt(done + at)),
        some,
        threads,
      );
      done += count;
      onProgress?.(done, objects);
    }
  }
  const file = indexFile(store.path);
  const beside = `${file}.part`;
  index.save(beside);
  renameSync(beside, file);
  syncFolder(store.path);
  const entry = { objects, ...measured(store, approximate(index)) };
  writeManifest(store.path, { ...openManifest(store.path), index: entry });
  store.reopen();
  return entry;
}

/** Objects that are added between two reports. */
const STEP = 1024;

/** The share of the ten nearest of some objects that is found; one that is just as near counts, too. */
function measured(store: Store, index: ApproximateIndex): Pick<IndexEntry, "recall" | "tried"> {
  const { width } = store.model;
  const objects = store.size("objects");
  const tried = Math.min(TRIED, objects);
  const k = Math.min(NEIGHBOURS, objects);
  const queries = new Float32Array(tried * width);
  for (let at = 0; at < tried; at += 1)
    queries.set(store.vector("objects", Math.floor((at * objects) / tried)), at * width);
  using exact = new NeighbourSearch(queries, width, k);
  for (const chunk of store.chunks("objects")) exact.add(chunk);
  const { rows, similarities } = exact.found();
  let found = 0;
  for (let at = 0; at < tried; at += 1) {
    const query = queries.subarray(at * width, (at + 1) * width);
    const nearest = new Set(rows.subarray(at * k, (at + 1) * k));
    const least = similarities[(at + 1) * k - 1]! - EQUAL;
    // By their vectors: the index's own similarities are of float16.
    const others = new Nearest(width);
    for (const { row } of index.search(query, k))
      if (nearest.has(row)) found += 1;
      else others.add(store.vector("objects", row));
    found += others.find(query, k).filter(({ similarity }) => similarity >= least).length;
  }
  return { recall: found / (tried * k), tried };
}

/** @throws RunError when the file is gone or torn */
export function openIndex(store: string, width: number, { objects }: IndexEntry): ApproximateIndex {
  const file = indexFile(store);
  const index = newIndex(width);
  try {
    if (statOf(file) === undefined) throw new Error("no such file");
    index.view(file);
    if (index.size() !== objects) throw new Error(`holds ${index.size()} of ${objects} objects`);
  } catch (cause) {
    throw new RunError(
      `${plain(file)}: cannot be used: ${plain(reasonOf(cause))}. Make it again: odis embed … --index`,
      { cause },
    );
  }
  return approximate(index);
}

function approximate(index: InstanceType<Usearch["Index"]>): ApproximateIndex {
  return {
    search: (vector, top) => {
      const { keys, distances } = index.search(vector, Math.min(top, index.size()), 1);
      return Array.from(keys, (key, at) => ({ row: Number(key), similarity: 1 - distances[at]! }));
    },
  };
}
