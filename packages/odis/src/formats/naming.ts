import type { Renamed } from "./format.js";

/** Patterns of names -> ours; `$N` are the pattern's groups. */
export type NameTable = readonly (readonly [pattern: string, ours: string])[];

export const linear = "(weight|bias)";

/**
 * A function that gives a name of a table in ours, undefined when no pattern fits. Dots stand for
 * themselves, except after `.` in `.*`, `.+` and escapes.
 */
export function translator(table: NameTable): (name: string) => string | undefined {
  const compiled = table.map(([pattern, ours]) => [compile(pattern), ours] as const);
  return (name) => {
    const found = compiled.find(([pattern]) => pattern.test(name));
    return found && name.replace(found[0], found[1]);
  };
}

function compile(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern.replace(/(?<!\\)\.(?![*+])/g, "\\.")})$`, "s"); // names of strangers may hold line breaks
}

/** What names mean by tables of a backbone's and of heads'. */
export function renamer(
  backbone: NameTable,
  heads: NameTable = [],
): (name: string) => Renamed | undefined {
  const ofBackbone = translator(backbone);
  const ofHeads = translator(heads);
  return (name) => {
    const weight = ofBackbone(name);
    if (weight !== undefined) return { kind: "backbone", name: weight };
    const head = ofHeads(name);
    return head === undefined ? undefined : { kind: "head", name: plainWeightNorm(head) };
  };
}

/** Newer PyTorch's spelling of a weight-normed layer. */
const weightNorm = [
  [/\.parametrizations\.weight\.original0$/, ".weight_g"],
  [/\.parametrizations\.weight\.original1$/, ".weight_v"],
] as const;

function plainWeightNorm(name: string): string {
  return weightNorm.reduce((text, [pattern, ours]) => text.replace(pattern, ours), name);
}
