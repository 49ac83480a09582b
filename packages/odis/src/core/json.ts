import { DataError } from "./errors.js";
import { FileProblem, readRegular } from "./regular-file.js";
import { isRecord, plain, reasonOf, show } from "./text.js";

/** V8 reads no longer text than this; larger files cannot become one string. */
const LONGEST = 2 ** 29 - 24;

/** Levels of lists and objects in one another. Nothing that we read needs ten. */
export const DEEPEST = 100;

/** Beyond this the exact place of a mistake would take too long to find. */
const SEARCHED = 2 ** 24;

/**
 * A JSON file that fits into memory; for lists of any length see `readJsonLists`.
 *
 * @param what e.g. "annotation file", for messages
 * @param limit largest size, bytes
 * @throws DataError if the file is missing, no regular file, too large, too deep, or not JSON (with
 *   line and column)
 */
export async function readJson(path: string, what: string, limit = LONGEST): Promise<unknown> {
  const bytes = await readRegular(path, Math.min(limit, LONGEST)).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${what} ${plain(path)} ${cause.message}`, { cause });
  });
  return parseJson(bytes, `${what} ${plain(path)}`);
}

/**
 * @param where names the text in messages: "annotation file a.json", "line 3 of b.jsonl"
 * @throws DataError if it is not JSON (with line and column), or too deep
 */
export function parseJson(bytes: Buffer, where: string): unknown {
  checkEncoding(bytes, where);
  const text = bytes.toString("utf8", bytes.indexOf(BOM) === 0 ? BOM.length : 0);
  const depth = deepest(bytes);
  if (depth > DEEPEST) throw new DataError(`${where} ${tooDeep}`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${where} is not JSON: ${mistakeIn(text)}`, { cause });
  }
}

/** A text as JSON; undefined, which no JSON is, for one that is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * What a schema found wrong first, as a clause.
 *
 * @param value what was looked at, of `parsedJson`
 */
export function firstProblem(
  value: unknown,
  { issues }: { readonly issues: readonly { path: readonly PropertyKey[]; message: string }[] },
): string {
  const [issue] = issues;
  if (value === undefined || !issue) return "it is no JSON";
  return `${plain(issue.path.map(String).join(".") || "it")}: ${plain(issue.message)}`;
}

export const tooDeep = `has lists or objects in one another more than ${DEEPEST} levels deep`;

export const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** @throws DataError for texts that Windows programs call "Unicode" */
export function checkEncoding(start: Buffer, where: string): void {
  const [first, second] = start;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new DataError(`${where} is UTF-16 text; wanted UTF-8. Save it again with that encoding`);
}

/** How many lists and objects are open at once at most; strings are passed over. */
function deepest(bytes: Buffer): number {
  let [depth, most] = [0, 0];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === 0x22) {
      for (at += 1; at < bytes.length && bytes[at] !== 0x22; at += 1)
        if (bytes[at] === 0x5c) at += 1;
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > most) most = depth;
      if (most > DEEPEST) return most;
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return most;
}

function mistakeIn(text: string): string {
  if (text.length > SEARCHED) return "somewhere in it a character is wrong";
  const good = soundLength(text);
  if (good === text.length) return `it ends too early, after ${good} characters`;
  const lines = text.slice(0, good).split("\n");
  return unexpected(text[good]!, lines.length, lines.at(-1)!.length + 1);
}

export function unexpected(found: string, line: number, column: number): string {
  return `unexpected ${show(found)} at line ${line}, column ${column}`;
}

/**
 * Length of the longest start of the text that can be continued to JSON. Node 20 names the
 * position of some mistakes only, so it is found by shortening the text.
 */
export function soundLength(text: string): number {
  let [good, bad] = [0, text.length + 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (couldGoOn(text, middle)) good = middle;
    else bad = middle;
  }
  return good;
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

/** @throws DataError if `value` is no JSON object */
export function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (isRecord(value)) return value;
  throw new DataError(`${where} is ${show(value)}; wanted an object with names and values`);
}
