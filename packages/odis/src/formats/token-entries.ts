import type { Network } from "../model/index.js";
import type { NetworkShape } from "./shape.js";

/** A special token, or an entry of the position table for one. */
export interface TokenEntry {
  readonly kind: "cls" | "object";
  /** which [OBJ]; 0 where all share one */
  readonly index: number;
}

/** What a network keeps for its special tokens, in its order. */
export interface TokenEntries {
  readonly cls: readonly TokenEntry[];
  readonly objects: readonly TokenEntry[];
  readonly positions: readonly TokenEntry[];
}

export function tokenEntriesOf({ backbone }: Network): TokenEntries {
  const { layout, config } = backbone;
  const cls: TokenEntry[] = layout.cls ? [{ kind: "cls", index: 0 }] : [];
  const objects = (rule: "shared" | "each"): TokenEntry[] =>
    Array.from(
      { length: rule === "each" ? layout.objects : Math.min(1, layout.objects) },
      (_, index) => ({
        kind: "object",
        index,
      }),
    );
  return {
    cls,
    objects: objects(config.objectEmbedding),
    positions: [...cls, ...objects(config.objectPosition)],
  };
}

/**
 * The file's token that an entry starts as, with its row in the file's position table. [OBJ] takes
 * the place of [CLS] (method: paper section 3), so where the file lacks one kind the other stands in.
 */
export function sourceOf(
  { kind, index }: TokenEntry,
  { cls, objects, special }: NetworkShape,
): TokenEntry & { readonly row: number | undefined } {
  const first = cls ? 1 : 0;
  const found: TokenEntry =
    objects > 0 && (kind === "object" || !cls)
      ? { kind: "object", index: kind === "object" ? index % objects : 0 }
      : { kind: "cls", index: 0 };
  const ofObjects = special - first; // one entry for all [OBJ], or one for each
  const row = found.kind === "cls" ? 0 : first + (ofObjects > 1 ? found.index : 0);
  return { ...found, row: special === 0 ? undefined : row };
}

/** In which way tokens stand in for each other. */
export function tokenNotes(theirs: NetworkShape, entries: TokenEntries): readonly string[] {
  if (!theirs.cls && theirs.objects === 0)
    return ["the file has no token before its patches: ours is new, with position 0"];
  const notes: string[] = [];
  const { objects } = entries;
  if (objects.length > 0 && theirs.objects === 0)
    notes.push("[OBJ] starts as the file's [CLS], with its position: it takes its place");
  if (entries.cls.length > 0 && !theirs.cls)
    notes.push("[CLS] starts as the file's [OBJ], with its position");
  const held = Math.max(1, theirs.objects);
  if (objects.length > held)
    notes.push(
      `${objects.length} [OBJ] tokens start as copies of ${held}; their objects tell them apart`,
    );
  if (theirs.special === 0)
    notes.push("the file has no positions for special tokens: theirs are 0");
  return notes;
}
