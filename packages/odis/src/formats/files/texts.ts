import { existsSync, readFileSync } from "node:fs";
import { isRecord, WeightsError } from "../../core/index.js";
import type { PlainValue } from "./weight-file.js";

// Nothing that a reader asks for lies deeper; a text of strangers may.
const deepest = 6;

/** The plain leaves of a JSON file by their path of keys, `above` before it; none without the file. */
export function leavesOf(file: string, above: string): ReadonlyMap<string, PlainValue> {
  const leaves = new Map<string, PlainValue>();
  const walk = (value: unknown, name: string, depth: number): void => {
    if (isPlain(value)) leaves.set(name, value);
    else if (depth < deepest && (isRecord(value) || Array.isArray(value)))
      for (const [key, inner] of Object.entries(value)) walk(inner, `${name}.${key}`, depth + 1);
  };
  walk(readJson(file), above, 0);
  return leaves;
}

function isPlain(value: unknown): value is PlainValue {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function readJson(file: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as unknown;
  } catch (error) {
    throw new WeightsError(file, "not JSON. Restore it from where the weights came from.", {
      cause: error,
    });
  }
}
