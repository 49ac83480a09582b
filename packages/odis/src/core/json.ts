import { readFile } from "node:fs/promises";
import { DataError, RunError } from "./errors.js";
import { codeOf, reasonOf } from "./text.js";
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";

/** V8 reads no longer text than this; larger files cannot become one string. */
const LONGEST = 2 ** 29 - 24;

/**
 * @param what e.g. "annotation file", for messages
 * @throws DataError if the file is missing, too large, or not JSON (with line and column)
 */
export async function readJson(path: string, what: string): Promise<unknown> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    const reason =
      codeOf(cause) === "ENOENT" ? "does not exist" : `cannot be read (${reasonOf(cause)})`;
    throw new DataError(`${what} ${path} ${reason}`, { cause });
  });
  if (bytes.length > LONGEST) {
    throw new DataError(
      `${what} ${path} has ${bytes.length} bytes; at most ${LONGEST} can be read. Split the data set`,
    );
  }
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${what} ${path} is not JSON: ${placeOfMistake(text)}`, { cause });
  }
}

/** Node 20 names the position of some mistakes only, so it is found by shortening the text. */
function placeOfMistake(text: string): string {
  let [good, bad] = [0, text.length + 1]; // lengths: the prefix can, and cannot, be continued to JSON
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (couldGoOn(text, middle)) good = middle;
    else bad = middle;
  }
  if (good === text.length) return `it ends too early, after ${text.length} characters`;
  const line = text.slice(0, good).split("\n");
  const column = line.at(-1)!.length + 1;
  return `unexpected ${JSON.stringify(text[good])} at line ${line.length}, column ${column}`;
}

function couldGoOn(text: string, length: number): boolean {
  try {
    JSON.parse(text.slice(0, length));
    return true;
  } catch (error) {
    const message = reasonOf(error);
    const position = /position (\d+)/.exec(message);
    return message.includes("end of JSON") || (position !== null && Number(position[1]) >= length);
  }
}

/** A row belongs to a step; rows of a file are in order of their steps. */
export interface StepRow {
  readonly step: number;
}

/**
 * A file of one JSON object a line, only ever appended to: `metrics.jsonl`, `skipped.jsonl`.
 * What a crash left behind is mended when it is opened again: half a last line is cut off, and
 * with it every row of a step that will be done once more.
 */
export class JsonLines<Row extends StepRow> implements Disposable {
  private descriptor: number | undefined;

  /**
   * @param path file to continue; made when it is missing
   * @param nextStep the first step that will be done; rows of this step and later ones are cut off
   * @throws RunError when a line before the last is not such a row
   */
  constructor(
    readonly path: string,
    nextStep: number,
  ) {
    this.descriptor = openSync(path, "a+");
    ftruncateSync(this.descriptor, keptBytes(path, readFileSync(path), nextStep));
  }

  /** Numbers that JSON has no word for (NaN, infinities) become null. */
  append(row: Row): void {
    if (this.descriptor === undefined) throw new Error(`internal: append to closed ${this.path}`);
    writeSync(this.descriptor, `${JSON.stringify(row)}\n`);
  }

  /** Waits until every row is on the disk; before a checkpoint that counts on them. */
  flush(): void {
    if (this.descriptor !== undefined) fsyncSync(this.descriptor);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Length of the file's start that holds whole rows of steps before `nextStep`. */
function keptBytes(path: string, bytes: Buffer, nextStep: number): number {
  let start = 0;
  for (let line = 1; start < bytes.length; line += 1) {
    const end = bytes.indexOf("\n", start);
    const step = end < 0 ? undefined : stepOf(bytes.toString("utf8", start, end));
    if (step === undefined) {
      if (end < 0 || end === bytes.length - 1) return start; // the crash happened in this line
      throw new RunError(
        `${path}: line ${line} is not a row of this file: ` +
          `${JSON.stringify(bytes.toString("utf8", start, Math.min(end, start + 40)))}. ` +
          `Rows follow it, so no crash explains this; mend or move the file, then resume.`,
      );
    }
    if (step >= nextStep) return start;
    start = end + 1;
  }
  return start;
}

function stepOf(text: string): number | undefined {
  try {
    const row: unknown = JSON.parse(text);
    if (typeof row !== "object" || row === null || !("step" in row)) return undefined;
    return typeof row.step === "number" ? row.step : undefined;
  } catch {
    return undefined;
  }
}
