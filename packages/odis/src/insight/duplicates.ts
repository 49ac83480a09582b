import { median } from "d3-array";
import type { Nearest } from "./nearest.js";

/** Pictures that show nearly the same. */
export interface DuplicateGroup {
  /** of the store, ascending */
  readonly rows: readonly number[];
  /** the least likeness of two of them that were found to be alike, a cosine */
  readonly similarity: number;
}

export interface Duplicates {
  /** the largest first */
  readonly groups: readonly DuplicateGroup[];
  /** from which cosine on two count as nearly the same */
  readonly least: number;
}

/** Equal vectors have this cosine at least, as float32 rounds it. */
const EQUAL = 1 - 1e-6;

/** How much nearer than usual: networks differ in how near to each other they put what differs. */
const SHARE = 0.05;

/**
 * Groups of rows that are nearly the same. Unless it is said from which likeness on, two are when they
 * are twenty times nearer to each other than rows commonly are to the last of their neighbours: copies
 * among those are few, so they do not decide what is common. Where they are not, equal ones still count.
 *
 * @param least a cosine
 */
export function duplicatesIn(nearest: Nearest, least = usual(nearest)): Duplicates {
  const { asked, k, rows, similarities } = nearest;
  const parents = new Map<number, number>();
  const rootOf = (row: number): number => {
    let root = row;
    for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next;
    // What is passed points to the root directly from now on: chains stay short.
    for (let at = row; at !== root; ) {
      const next = parents.get(at)!;
      parents.set(at, root);
      at = next;
    }
    return root;
  };
  const pairs: { readonly row: number; readonly similarity: number }[] = [];
  for (const [at, row] of asked.entries())
    for (let to = at * k; to < (at + 1) * k && similarities[to]! >= least; to += 1) {
      const [a, b] = [rootOf(row), rootOf(rows[to]!)];
      if (a !== b) parents.set(Math.max(a, b), Math.min(a, b));
      pairs.push({ row, similarity: similarities[to]! });
    }
  const groups = new Map<number, { readonly rows: Set<number>; similarity: number }>();
  const groupOf = (root: number) => {
    const group = groups.get(root) ?? { rows: new Set([root]), similarity: 1 };
    groups.set(root, group);
    return group;
  };
  for (const row of parents.keys()) groupOf(rootOf(row)).rows.add(row);
  for (const { row, similarity } of pairs) {
    const group = groupOf(rootOf(row));
    group.similarity = Math.min(group.similarity, similarity);
  }
  return {
    least,
    groups: [...groups.values()]
      .map((group) => ({
        rows: [...group.rows].toSorted((a, b) => a - b),
        similarity: group.similarity,
      }))
      .toSorted((a, b) => b.rows.length - a.rows.length || a.rows[0]! - b.rows[0]!),
  };
}

function usual({ asked, k, similarities }: Nearest): number {
  if (k === 0) return 1;
  const last = asked.map((_, at) => 1 - similarities[(at + 1) * k - 1]!);
  return Math.min(EQUAL, 1 - SHARE * (median(last) ?? 0));
}
