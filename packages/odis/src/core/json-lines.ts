import { closeSync, ftruncateSync, writeFileSync } from "node:fs";
import { RunError } from "./errors.js";
import { openToAppend, readOwnText, syncFile } from "./files.js";
import { parsedJson } from "./json.js";
import { FileProblem, readRegularSync } from "./regular-file.js";

/** Bytes of the longest file that is opened again: Node reads no more at once. */
const longest = 2 ** 31 - 1;

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
   * @throws RunError when a line before the last is not such a row, or the file is none, or read-only
   */
  constructor(
    readonly path: string,
    nextStep: number,
  ) {
    try {
      this.descriptor = openToAppend(path);
      const bytes = readRegularSync(path, longest);
      ftruncateSync(this.descriptor, keptBytes(path, bytes, nextStep));
    } catch (error) {
      this.close();
      if (!(error instanceof FileProblem)) throw error;
      throw new RunError(`${path} ${error.message}. Mend or move it, then resume.`, {
        cause: error,
      });
    }
  }

  /** Numbers that JSON has no word for (NaN, infinities) become null. */
  append(row: Row): void {
    if (this.descriptor === undefined) throw new Error(`internal: append to closed ${this.path}`);
    // Not writeSync: a disk that is nearly full takes a part and says nothing.
    writeFileSync(this.descriptor, `${JSON.stringify(row)}\n`);
  }

  /** Waits until every row is on the disk; before a checkpoint that counts on them. */
  flush(): void {
    if (this.descriptor !== undefined) syncFile(this.descriptor);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * The rows of a file of JSON lines, none where there is no file; a running or killed run may leave half a line at its
 * end, which is passed over, as is what `parse` makes nothing of.
 */
export function readJsonLines<Row>(
  path: string,
  parse: (value: unknown) => Row | undefined,
): Row[] {
  return (readOwnText(path) ?? "").split("\n").flatMap((line) => {
    const value = parsedJson(line);
    return value === undefined ? [] : (parse(value) ?? []);
  });
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
