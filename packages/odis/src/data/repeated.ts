import type { PackedIndex } from "./packed-index.js";
import { type PackedStrings, startOf, stringAt } from "./packed.js";

/** Names that a message spells out. */
const SHOWN = 3;

/** Names that stand in the list more than once: numbers are sorted, since a million texts are heavy. */
export function repeatedNames(files: PackedStrings): PackedIndex["repeated"] {
  const size = files.ends.length;
  const hashes = new Float64Array(size);
  for (let image = 0; image < size; image += 1) hashes[image] = hashOf(files, image);
  const sorted = hashes.toSorted();
  const suspects = new Set<number>();
  for (let at = 1; at < size; at += 1) if (sorted[at] === sorted[at - 1]) suspects.add(sorted[at]!);
  const seen = new Map<string, number>();
  if (suspects.size > 0)
    for (let image = 0; image < size; image += 1) {
      if (!suspects.has(hashes[image]!)) continue;
      const name = stringAt(files, image);
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
  const names = [...seen].filter(([name, times]) => name !== "" && times > 1).map(([name]) => name);
  return { count: names.length, names: names.slice(0, SHOWN) };
}

/** 52 bits of two multiplicative hashes. */
function hashOf({ bytes, ends }: PackedStrings, index: number): number {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let at = startOf(ends, index); at < ends[index]!; at += 1) {
    a = Math.imul(a ^ bytes[at]!, 0x01000193);
    b = Math.imul(b ^ bytes[at]!, 0x5bd1e995) ^ (b >>> 15);
  }
  return (a >>> 6) * 2 ** 26 + (b >>> 6);
}
