import { DataError } from "../errors.js";

/** @throws DataError if `value` is no JSON object */
export function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (isRecord(value)) return value;
  throw new DataError(`${where} is ${show(value)}; wanted an object with names and values`);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a caught value says about itself. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's name of a file error, such as ENOENT; empty for other errors. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** @throws DataError if a list that COCO's instances format wants is not there */
export function list(
  root: Readonly<Record<string, unknown>>,
  key: string,
  path: string,
): readonly unknown[] {
  const value = root[key];
  if (Array.isArray(value)) return value as readonly unknown[];
  const found = value === undefined ? "is missing" : `is ${show(value)}`;
  throw new DataError(
    `annotation file ${path} is not in COCO's instances format: "${key}" ${found}; wanted the lists ` +
      `"images", "annotations" and "categories"`,
  );
}

/** A value as JSON, cut short for messages. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
