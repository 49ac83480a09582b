import { FileProblem, isRecord, plain, readRegular, WeightsError } from "../../core/index.js";
import type { PlainValue } from "../format.js";

// A configuration with 21,000 names of classes has two megabytes.
const largestText = 1 << 22;
// Nothing that a reader asks for lies deeper; a text of strangers may.
const deepest = 6;

/**
 * The plain leaves of a JSON file by their path of keys, `above` before it; none without the file.
 *
 * @throws WeightsError when it cannot be read, or is no JSON
 */
export async function leavesOf(
  file: string,
  above: string,
): Promise<ReadonlyMap<string, PlainValue>> {
  const leaves = new Map<string, PlainValue>();
  const walk = (value: unknown, name: string, depth: number): void => {
    if (isPlain(value)) leaves.set(name, value);
    else if (depth < deepest && (isRecord(value) || Array.isArray(value)))
      for (const [key, inner] of Object.entries(value)) walk(inner, `${name}.${key}`, depth + 1);
  };
  walk(await parsed(file), above, 0);
  return leaves;
}

function isPlain(value: unknown): value is PlainValue {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

async function parsed(file: string): Promise<unknown> {
  try {
    return JSON.parse((await readRegular(file, largestText)).toString("utf8")) as unknown;
  } catch (cause) {
    if (!(cause instanceof FileProblem))
      throw new WeightsError(file, "not JSON. Restore it from where the weights came from.", {
        cause,
      });
    if (cause.code === "ENOENT") return undefined;
    throw new WeightsError(file, `${plain(cause.message)}.`, { cause });
  }
}
