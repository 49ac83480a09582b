import type { Store } from "../search/index.js";

/** Which classes a store's objects have, all of it in memory. */
export interface Catalogue {
  /** most objects first */
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** [objects] index into `classes`, -1 for none */
  readonly classOf: Int32Array;
  /** rows of a class; undefined for a name that no object has */
  rowsOf(name: string): Int32Array | undefined;
}

/** Reads every line of a store once. */
export function catalogue(store: Store): Catalogue {
  const names = new Map<string, number>();
  const counts: number[] = [];
  const first = new Int32Array(store.size("objects")).fill(-1);
  for (let image = 0; image < store.size("images"); image += 1)
    for (const { row, class: name } of store.objectsIn(image)) {
      if (name === undefined) continue;
      const at = names.get(name) ?? names.size;
      names.set(name, at);
      counts[at] = (counts[at] ?? 0) + 1;
      first[row] = at;
    }
  const order = [...names.keys()].toSorted(
    (a, b) => counts[names.get(b)!]! - counts[names.get(a)!]! || (a < b ? -1 : 1),
  );
  const places = new Map(order.map((name, place) => [names.get(name)!, place]));
  const classOf = first.map((at) => places.get(at) ?? -1);
  return {
    classes: order.map((name) => ({ name, count: counts[names.get(name)!]! })),
    classOf,
    rowsOf: (name) => {
      const wanted = order.indexOf(name);
      if (wanted < 0) return undefined;
      return Int32Array.from(classOf.keys()).filter((row) => classOf[row] === wanted);
    },
  };
}
