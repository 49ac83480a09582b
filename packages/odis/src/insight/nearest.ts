import { NeighbourSearch } from "../evaluate/index.js";
import type { ItemKind, Store } from "../search/index.js";

/** Rows of a store, and those that are most like each, best first, itself left out. */
export interface Nearest {
  /** what was looked at: rows of the store, in order */
  readonly asked: readonly number[];
  /** how many there are for each; less than wanted in a small store */
  readonly k: number;
  /** [asked, k] rows of the store */
  readonly rows: Int32Array;
  /** [asked, k] cosines, -1..1 */
  readonly similarities: Float32Array;
}

/** All rows of a kind, or as many of them as are wanted, evenly spread. */
export function spreadRows(store: Pick<Store, "size">, kind: ItemKind, most: number): number[] {
  const size = store.size(kind);
  const count = Math.min(size, most);
  return Array.from({ length: count }, (_, at) => Math.floor((at * size) / count));
}

/** The vectors of some rows, ascending: [rows, width]. */
export function vectorsOf(
  store: Pick<Store, "chunks" | "model">,
  kind: ItemKind,
  rows: readonly number[],
): Float32Array {
  const { width } = store.model;
  const vectors = new Float32Array(rows.length * width);
  let [first, to] = [0, 0];
  for (const chunk of store.chunks(kind)) {
    const end = first + chunk.length / width;
    for (; to < rows.length && rows[to]! < end; to += 1) {
      const from = (rows[to]! - first) * width;
      vectors.set(chunk.subarray(from, from + width), to * width);
    }
    first = end;
  }
  return vectors;
}

/**
 * What is most like each of some rows, among all rows of the store.
 *
 * @param asked ascending
 */
export function nearestTo(
  store: Pick<Store, "chunks" | "model" | "size">,
  kind: ItemKind,
  asked: readonly number[],
  most: number,
): Nearest {
  const k = Math.max(0, Math.min(most, store.size(kind) - 1));
  const rows = new Int32Array(asked.length * k);
  const similarities = new Float32Array(asked.length * k);
  if (k === 0) return { asked, k, rows, similarities };
  using search = new NeighbourSearch(vectorsOf(store, kind, asked), store.model.width, k + 1);
  for (const chunk of store.chunks(kind)) search.add(chunk);
  const found = search.found();
  for (const [at, row] of asked.entries()) {
    const begin = at * (k + 1);
    const mine = [...found.rows.subarray(begin, begin + k + 1).keys()].filter(
      (one) => found.rows[begin + one] !== row,
    );
    // Among rows that are equal to it, it may not have been found itself.
    for (const [to, one] of mine.slice(0, k).entries()) {
      rows[at * k + to] = found.rows[begin + one]!;
      similarities[at * k + to] = found.similarities[begin + one]!;
    }
  }
  return { asked, k, rows, similarities };
}
