/** Watches a configuration: which of its leaves did anybody read? */
export interface Recording<T> {
  readonly config: T;
  /** dotted paths of the leaves that were never read; lists count as one leaf */
  readonly unread: () => readonly string[];
}

/**
 * Wraps a configuration so that a test can find settings that nobody reads. Copying a whole object
 * (spread, JSON) reads everything in it; hand the pieces on as they are.
 */
export function recordingProxy<T extends object>(original: T): Recording<T> {
  const read = new Set<string>();
  const wrap = <O extends object>(object: O, above: string): O => {
    const wrapped = new Map<PropertyKey, object>();
    // A proxy must return frozen properties as they are, so it stands for a thawed copy.
    return new Proxy(Object.assign(Object.create(null), object), {
      get(target, key, receiver) {
        const value: unknown = Reflect.get(target, key, receiver);
        if (typeof key === "symbol") return value;
        const path = above === "" ? key : `${above}.${key}`;
        if (!isBranch(value)) {
          read.add(path);
          return value;
        }
        if (!wrapped.has(key)) wrapped.set(key, wrap(value, path));
        return wrapped.get(key);
      },
    });
  };
  return {
    config: wrap(original, ""),
    unread: () => leaves(original, "").filter((path) => !read.has(path)),
  };
}

function isBranch(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function leaves(object: object, above: string): string[] {
  return Object.entries(object).flatMap(([key, value]) => {
    const path = above === "" ? key : `${above}.${key}`;
    return isBranch(value) ? leaves(value, path) : [path];
  });
}
