import { plain, RunError } from "../core/index.js";
import type { Hit, PictureQuery, Store, StoredObject } from "../search/index.js";

/** A store as the page searches it: rows are those of the store that the page shows. */
export interface Searched {
  readonly store: Store;
  /** what is like an object, by its row */
  like(row: number, top: number): readonly Hit[];
  search(query: PictureQuery | Float32Array, top: number): readonly Hit[];
}

/** A store that the page shows: by its index where there is one. */
export function searchedStore(store: Store): Searched {
  const approximate = store.index !== undefined;
  return {
    store,
    like: (row, top) =>
      store.search(store.vector("objects", row), { top, approximate, without: [row] }),
    search: (query, top) => store.search(query, { top, approximate }),
  };
}

/**
 * A store to be searched beside the one that is shown. Images are the same by name and size, objects by
 * their boxes; what only one of the stores has is not found.
 *
 * @throws RunError when they have no object in common
 */
export function besideStore(shown: Store, other: Store): Searched {
  const toOther = pairs(shown, other);
  const toShown = new Map([...toOther].map(([row, theirs]) => [theirs, row]));
  if (toOther.size === 0)
    throw new RunError(
      `stores ${plain(shown.path)} and ${plain(other.path)}: have no object of an image in common; wanted two ` +
        `networks' stores of one library`,
    );
  const searched = searchedStore(other);
  const known = (hits: readonly Hit[]): readonly Hit[] =>
    hits.flatMap((hit) => {
      const row = toShown.get(hit.row);
      if (row === undefined) return [];
      const object = shown.object(row);
      return [{ ...hit, row, object, image: object.image }];
    });
  // Those that only the other one has are left out of what was found, so more are asked for.
  const ours = (find: (count: number) => readonly Hit[], top: number): readonly Hit[] => {
    const all = other.size("objects");
    let count = Math.min(all, 2 * top);
    let found = known(find(count));
    while (found.length < top && count < all) {
      count = Math.min(all, 2 * count);
      found = known(find(count));
    }
    return found.slice(0, top);
  };
  return {
    store: other,
    like: (row, top) => {
      const theirs = toOther.get(row);
      return theirs === undefined ? [] : ours((count) => searched.like(theirs, count), top);
    },
    search: (query, top) => {
      const vector = query instanceof Float32Array ? query : other.look(query);
      return ours((count) => searched.search(vector, count), top);
    },
  };
}

/** Rows of objects -> rows of the same ones in another store. */
function pairs(shown: Store, other: Store): Map<number, number> {
  const images = new Map<string, number>();
  for (let image = 0; image < other.size("images"); image += 1) {
    const { key, width, height } = other.image(image);
    images.set(`${width} ${height} ${key}`, image);
  }
  const found = new Map<number, number>();
  for (let image = 0; image < shown.size("images"); image += 1) {
    const { key, width, height } = shown.image(image);
    const there = images.get(`${width} ${height} ${key}`);
    if (there === undefined) continue;
    const theirs = new Map(other.objectsIn(there).map((object) => [placeOf(object), object.row]));
    for (const object of shown.objectsIn(image)) {
      const row = theirs.get(placeOf(object));
      if (row !== undefined) found.set(object.row, row);
    }
  }
  return found;
}

const placeOf = ({ id, box: { x, y, width, height } }: StoredObject): string =>
  [id, x, y, width, height].join(" ");
