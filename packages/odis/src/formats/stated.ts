import type { PlainValue } from "./files/index.js";
import type { StatedShape } from "./format.js";
import { readers } from "./registry.js";

/** What a file's texts say of its network, by the first format that knows each. */
export function statedShape(plain: ReadonlyMap<string, PlainValue>): StatedShape {
  const merged: Record<string, unknown> = {};
  for (const { stated } of readers)
    for (const [what, value] of Object.entries(stated?.(plain) ?? {}))
      if (value !== undefined) merged[what] ??= value;
  return merged;
}
