import { closeSync, ftruncateSync, openSync, readSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { openToAppend, plain, RunError, statOf, syncFile } from "../core/index.js";

/** What became of one picture. */
export type Entry = FoundEntry | SkippedEntry;

export interface FoundEntry {
  readonly image: number;
  readonly key: string;
  readonly width: number;
  readonly height: number;
  /** score, label, and the mask's runs as COCO compresses them */
  readonly objects: readonly (readonly [score: number, label: number, runs: string])[];
  /** names of the labels, where more are known than before */
  readonly classes?: readonly string[];
}

export interface SkippedEntry {
  readonly image: number;
  readonly key: string;
  /** why it could not be used */
  readonly skipped: string;
}

/** Bytes that are read at a time. */
const PIECE = 1 << 20;
/** No picture has so many objects that its line is longer, bytes. */
const LONGEST_LINE = 1 << 28;

/**
 * What was found so far, a line a picture in the pictures' order, so that work on a large data set
 * survives whatever ends it. The first line says what is being done: another job is refused.
 */
export class Journal implements Disposable {
  private constructor(
    readonly path: string,
    private descriptor: number | undefined,
    /** pictures that are done */
    private done: number,
  ) {}

  /**
   * Begins a journal, or goes on with one; half a last line is cut off.
   *
   * @param job what decides the result
   * @param asNow what a job that stands there means today
   * @throws RunError when the file belongs to another job, or is no journal
   */
  static open(path: string, job: unknown, asNow = (begun: unknown): unknown => begun): Journal {
    const descriptor = openToAppend(path);
    try {
      const size = statOf(path)!.size;
      let [end, lines] = [0, 0];
      for (const { text, to } of linesOf(path)) {
        if (lines === 0) checkJob(path, text, job, asNow);
        else if (imageOf(text) !== lines - 1) throw notOurs(path, lines + 1);
        [end, lines] = [to, lines + 1];
      }
      if (end < size) ftruncateSync(descriptor, end);
      const journal = new Journal(path, descriptor, Math.max(0, lines - 1));
      if (lines === 0) journal.write(job);
      return journal;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  get images(): number {
    return this.done;
  }

  /** @param entry of the next picture */
  append(entry: Entry): void {
    if (entry.image !== this.done) throw new Error(`internal: picture ${entry.image} out of order`);
    this.write(entry);
    this.done += 1;
  }

  private write(line: unknown): void {
    if (this.descriptor === undefined) throw new Error(`internal: append to closed ${this.path}`);
    writeFileSync(this.descriptor, `${JSON.stringify(line)}\n`);
  }

  *entries(): Generator<Entry> {
    let line = 0;
    for (const { text } of linesOf(this.path)) {
      if (line > 0) yield JSON.parse(text) as Entry;
      line += 1;
    }
  }

  flush(): void {
    if (this.descriptor !== undefined) syncFile(this.descriptor);
  }

  [Symbol.dispose](): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}

/** Whole lines of a file, and where each ends. */
function* linesOf(path: string): Generator<{ text: string; to: number }> {
  const descriptor = openSync(path, "r");
  try {
    const piece = Buffer.allocUnsafe(PIECE);
    let rest: Buffer[] = [];
    let [at, length] = [0, 0];
    for (;;) {
      const got = readSync(descriptor, piece, 0, PIECE, at);
      if (got === 0) return;
      let begin = 0;
      for (let end = piece.indexOf(10); end >= 0 && end < got; end = piece.indexOf(10, begin)) {
        const text = Buffer.concat([...rest, piece.subarray(begin, end)]).toString("utf8");
        [rest, length, begin] = [[], 0, end + 1];
        yield { text, to: at + begin };
      }
      rest.push(Buffer.from(piece.subarray(begin, got)));
      length += got - begin;
      if (length > LONGEST_LINE) throw notOurs(path, undefined);
      at += got;
    }
  } finally {
    closeSync(descriptor);
  }
}

function imageOf(text: string): number | undefined {
  try {
    const entry: unknown = JSON.parse(text);
    const isEntry = typeof entry === "object" && entry !== null && "image" in entry;
    return isEntry && typeof entry.image === "number" ? entry.image : undefined;
  } catch {
    return undefined;
  }
}

function checkJob(
  path: string,
  text: string,
  job: unknown,
  asNow: (begun: unknown) => unknown,
): void {
  let begun: unknown;
  try {
    begun = JSON.parse(text);
  } catch {
    throw notOurs(path, 1);
  }
  // As JSON would give it back: what is undefined is not there.
  if (isDeepStrictEqual(asNow(begun), JSON.parse(JSON.stringify(job)))) return;
  throw new RunError(
    `${plain(path)} holds the beginnings of other masks (another maker, data set or setting). Go on with ` +
      `those by their own command line, choose another --out, or delete that file`,
  );
}

function notOurs(path: string, line: number | undefined): RunError {
  const where = line === undefined ? "" : `, line ${line}`;
  return new RunError(
    `${plain(path)}${where}: is no list of masks that odis left here. Move it away, or choose another --out`,
  );
}
