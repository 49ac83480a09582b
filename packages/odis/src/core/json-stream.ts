import { DataError } from "./errors.js";
import { BOM, checkEncoding, DEEPEST, soundLength, tooDeep, unexpected } from "./json.js";
import { FileProblem, openRegular, readRange } from "./regular-file.js";
import { plain } from "./text.js";

/** Bytes that are read at a time. */
const PIECE = 1 << 22;

/** Longest single entry of a list, bytes: ten million numbers. */
const LONGEST_ENTRY = 1 << 28;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Gets the entries of one list, in order. */
export type OnEntry = (entry: unknown, index: number) => void;

/** The list that a file consists of, where it is not an object of lists. */
export const WHOLE = "";

/** What else there was. */
export interface JsonRest {
  /** names of the lists that were handed over; {@link WHOLE} for a file that is one list */
  readonly lists: ReadonlySet<string>;
  /** the other values of the outer object that are no lists and no objects */
  readonly values: ReadonlyMap<string, unknown>;
  /** what lists and objects were passed over */
  readonly passed: ReadonlyMap<string, "list" | "object">;
}

/**
 * Walks a JSON file of any size whose outer object holds lists (COCO's formats), or which is one
 * list (a detector's results), and hands over the entries one by one. Memory stays flat: whole
 * files of this kind take four times their size once parsed, and V8 has no texts above 512 MB.
 *
 * Whole numbers of an entry that a double cannot hold become texts where they are ids, so that
 * two ids never become one.
 *
 * @param what e.g. "annotation file", for messages
 * @param wanted by the list's name in the outer object; {@link WHOLE} for a file that is a list
 * @throws DataError if the file is missing, no regular file, too deep, or not JSON (with line and
 *   column); and whatever the handlers throw
 */
export async function readJsonLists(
  path: string,
  what: string,
  wanted: Readonly<Record<string, OnEntry>>,
): Promise<JsonRest> {
  const where = `${what} ${plain(path)}`;
  const problem = (cause: unknown): never => {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${where} ${cause.message}`, { cause });
  };
  const { file, size } = await openRegular(path).catch(problem);
  try {
    const splitter = new Splitter(wanted);
    for (let from = 0; from < size; from += PIECE) {
      const bytes = await readRange(file, from, Math.min(PIECE, size - from));
      if (from === 0) checkEncoding(bytes, where);
      splitter.push(
        from === 0 && bytes.indexOf(BOM) === 0 ? bytes.fill(" ", 0, BOM.length) : bytes,
      );
    }
    return splitter.end();
  } catch (error) {
    if (!(error instanceof Mistake)) return problem(error);
    const text = await describe(error, (upTo) => readRange(file, 0, Math.min(upTo, PIECE)));
    throw new DataError(`${where} ${text}`, { cause: error });
  } finally {
    await file.close();
  }
}

/** Something that is not JSON, at a byte of the file. */
class Mistake extends Error {
  constructor(
    readonly at: number,
    readonly kind: "unexpected" | "end" | "deep" | "long" | "scalar",
    readonly found = "",
  ) {
    super(kind);
  }
}

async function describe(
  { at, kind, found }: Mistake,
  read: (upTo: number) => Promise<Buffer>,
): Promise<string> {
  if (kind === "deep") return tooDeep;
  if (kind === "scalar") return "is one value; wanted an object or a list";
  if (kind === "long") return `has an entry of more than ${LONGEST_ENTRY} bytes`;
  // Lines are counted in small files only; in a large one people need other tools anyway.
  const before = (await read(at)).toString("utf8").replace(/^\uFEFF/, "");
  if (at > PIECE)
    return kind === "end"
      ? `is not JSON: it ends too early, after ${at} bytes`
      : `is not JSON: unexpected ${JSON.stringify(found)} at byte ${at}`;
  if (kind === "end") return `is not JSON: it ends too early, after ${before.length} characters`;
  const lines = before.split("\n");
  return `is not JSON: ${unexpected(found, lines.length, lines.at(-1)!.length + 1)}`;
}

/** Cuts the bytes into entries; each is then parsed by itself. */
class Splitter {
  private readonly lists = new Set<string>();
  private readonly values = new Map<string, unknown>();
  private readonly passed = new Map<string, "list" | "object">();
  /** what is open, outermost first */
  private readonly open = new Uint8Array(DEEPEST + 1);
  private depth = 0;
  private inString = false;
  private escaped = false;
  /** bytes that belong to an entry which is not complete yet */
  private kept: Buffer = Buffer.alloc(0);
  /** where `kept` begins in the file */
  private offset = 0;
  /** the list whose entries are handed over, and how many were */
  private list: { readonly handle: OnEntry; readonly depth: number; count: number } | undefined;
  /** whether an unwanted list or object of the outer object is being passed over */
  private passing = false;
  /** members of the outer object so far, and whether the last one was a list or object */
  private members = 0;
  private closed = false;
  /** whether the outer object or list has ended */
  private done = false;

  constructor(private readonly wanted: Readonly<Record<string, OnEntry>>) {}

  push(piece: Buffer): void {
    const scanned = this.kept.length;
    const bytes = scanned === 0 ? piece : Buffer.concat([this.kept, piece]);
    const rest = this.scan(bytes, scanned);
    if (bytes.length - rest > LONGEST_ENTRY) throw new Mistake(this.offset + rest, "long");
    this.kept = Buffer.from(bytes.subarray(rest));
    this.offset += rest;
  }

  end(): JsonRest {
    const length = this.kept.length;
    if (!this.done && this.depth === 0 && !this.inString) {
      this.parse("", this.kept, 0, length, "");
      throw new Mistake(0, "scalar");
    }
    if (!this.done) throw new Mistake(this.offset + length, "end");
    this.onlySpace(this.kept, 0, length);
    return { lists: this.lists, values: this.values, passed: this.passed };
  }

  /** @returns the first byte that is still needed */
  private scan(bytes: Buffer, from: number): number {
    let start = 0;
    let { depth, inString, escaped } = this;
    const { open } = this;
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) {
        inString = true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        if (this.done) this.stop(bytes, at);
        if (depth <= 1 && this.opens(bytes, start, at, depth)) start = at + 1;
        depth += 1;
        if (depth > DEEPEST) throw new Mistake(this.offset + at, "deep");
        open[depth] = byte;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        if (depth === 0 || open[depth]! + 2 !== byte) this.stop(bytes, at);
        if (depth <= 2 && this.closes(bytes, start, at, depth)) start = at + 1;
        depth -= 1;
      } else if (byte === COMMA && depth <= 2 && this.separates(bytes, start, at, depth)) {
        start = at + 1;
      }
    }
    if (this.passing) start = bytes.length;
    this.depth = depth;
    this.inString = inString;
    this.escaped = escaped;
    return start;
  }

  /** A list or object begins. @returns whether what came before it is dealt with */
  private opens(bytes: Buffer, start: number, at: number, depth: number): boolean {
    const isList = bytes[at] === OPEN_LIST;
    if (depth === 0) {
      this.onlySpace(bytes, start, at);
      if (isList) this.begin(WHOLE, 1);
      return true;
    }
    if (this.list || this.passing) return false; // part of an entry, or of what is passed over
    if (this.closed) {
      this.onlySpace(bytes, start, at);
      this.stop(bytes, at);
    }
    const [name = ""] = Object.keys(this.parse("{", bytes, start, at, '""}') as object);
    if (isList && Object.hasOwn(this.wanted, name)) this.begin(name, 2);
    else {
      this.passed.set(name, isList ? "list" : "object");
      this.passing = true;
    }
    return true;
  }

  private begin(name: string, depth: number): void {
    this.lists.add(name);
    this.list = { handle: this.wanted[name] ?? (() => undefined), depth, count: 0 };
  }

  /** A list or object ends. @returns whether what came before it is dealt with */
  private closes(bytes: Buffer, start: number, at: number, depth: number): boolean {
    const { list } = this;
    if (depth > (list?.depth ?? (this.passing ? 2 : 1))) return false;
    if (list) {
      if (list.count > 0 || !isSpace(bytes, start, at)) this.entry(bytes, start, at);
      this.list = undefined;
    } else if (!this.passing) this.member(bytes, start, at);
    this.passing = false;
    this.closed = depth === 2;
    this.done = depth === 1;
    return true;
  }

  /** A comma. @returns whether what came before it is dealt with */
  private separates(bytes: Buffer, start: number, at: number, depth: number): boolean {
    if (depth === 0) this.stop(bytes, at);
    if (this.passing || depth !== (this.list?.depth ?? 1)) return false;
    if (this.list) this.entry(bytes, start, at);
    else this.member(bytes, start, at);
    return true;
  }

  private entry(bytes: Buffer, start: number, at: number): void {
    const value = this.parse("", bytes, start, at, "");
    this.list!.handle(value, this.list!.count);
    this.list!.count += 1;
  }

  /** The end of a member of the outer object, by a comma or by the object's own end. */
  private member(bytes: Buffer, start: number, at: number): void {
    const isFirst = this.members === 0;
    this.members += 1;
    if (this.closed) this.onlySpace(bytes, start, at);
    else if (!(isFirst && bytes[at] === CLOSE_OBJECT && isSpace(bytes, start, at))) {
      const parsed = this.parse("{", bytes, start, at, "}") as object;
      const [entry] = Object.entries(parsed);
      if (!entry) this.stop(bytes, at);
      this.values.set(entry[0], entry[1]);
    }
    this.closed = false;
  }

  /** @throws Mistake at the first byte that cannot be */
  private parse(before: string, bytes: Buffer, start: number, end: number, after: string): unknown {
    const text = bytes.toString("utf8", start, end);
    try {
      const ids = LARGE.test(text) ? text.replace(LARGE_ID, '$1"$2"') : text;
      return JSON.parse(before + ids + after);
    } catch {
      const sound = soundLength(before + text) - before.length;
      const place = this.offset + start + Buffer.byteLength(text.slice(0, sound));
      if (sound === text.length && end === bytes.length) throw new Mistake(place, "end");
      throw new Mistake(place, "unexpected", text[sound] ?? String.fromCharCode(bytes[end]!));
    }
  }

  private onlySpace(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += 1) if (!SPACES.has(bytes[at]!)) this.stop(bytes, at);
  }

  private stop(bytes: Buffer, at: number): never {
    throw new Mistake(this.offset + at, "unexpected", bytes.toString("utf8", at, at + 4)[0]);
  }
}

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);

function isSpace(bytes: Buffer, start: number, end: number): boolean {
  return bytes.subarray(start, end).every((byte) => SPACES.has(byte));
}

/** Digits enough to pass 2^53. */
const LARGE = /\d{16}/;
const LARGE_ID = /("(?:id|image_id|category_id)"\s*:\s*)(-?\d{16,})(?=\s*[,}])/g;
