import type { PlainValue } from "./format.js";

/** The leaves of a file's texts by their path. */
type Leaves = ReadonlyMap<string, PlainValue>;

/** A positive number; texts of safetensors' header are read as one. */
export function numberIn(leaves: Leaves, name: string): number | undefined {
  const value = leaves.get(name);
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) && number > 0 ? number : undefined;
}

/** A whole number from 1 up. */
export function sizeIn(leaves: Leaves, name: string): number | undefined {
  const number = numberIn(leaves, name);
  return Number.isSafeInteger(number) ? number : undefined;
}

export function textIn(leaves: Leaves, name: string): string | undefined {
  const value = leaves.get(name);
  return typeof value === "string" ? value : undefined;
}

/** One number for a square, or height and width in a list, from its entry `at` on. */
export function imageIn(
  leaves: Leaves,
  name: string,
  at = 0,
): { readonly height: number; readonly width: number } | undefined {
  const height = sizeIn(leaves, name) ?? sizeIn(leaves, `${name}.${at}`);
  const width = sizeIn(leaves, name) ?? sizeIn(leaves, `${name}.${at + 1}`);
  return height === undefined || width === undefined ? undefined : { height, width };
}
