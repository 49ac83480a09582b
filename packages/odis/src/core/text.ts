/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(a: string, b: string): number {
  // Row i holds the distances of a's first i letters to every start of b.
  let twoAbove: readonly number[] = [];
  let above: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, twoAbove[j - 2]! + 1);
      row.push(best);
    }
    [twoAbove, above] = [above, row];
  }
  return above[b.length]!;
}

/** The known word that was probably meant: the closest one, if it is close. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** A word as a POSIX shell takes it literally. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** An option as the command line spells it: `minArea` -> `--min-area`. */
export function optionName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Its digits in threes: `1,234`. */
export const grouped = (n: number): string => n.toLocaleString("en-US");

/** How many of them: `1 image`, `1,234 images`, `2 classes`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
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

/** Characters of a value that a message shows. */
const SHOWN = 60;

/** A value as JSON, cut short for messages: never more work or text than that, whatever it is. */
export function show(value: unknown): string {
  const text = jsonStart(value, SHOWN + 1) || "missing";
  return escaped(text.length > SHOWN ? `${text.slice(0, SHOWN - 3)}...` : text);
}

/** JSON of a value, or at least the first `length` characters of it. */
function jsonStart(value: unknown, length: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, length));
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  const isList = Array.isArray(value);
  const keys = isList ? value.keys() : Object.keys(value).values();
  let text = isList ? "[" : "{";
  for (const key of keys) {
    if (text.length >= length) return text;
    if (text.length > 1) text += ",";
    if (typeof key === "string") text += `${jsonStart(key, length)}:`;
    text += jsonStart((value as Record<string, unknown>)[key], length - text.length) || "null";
  }
  return text + (isList ? "]" : "}");
}

/** Letters of a name from outside that a message shows. */
const LONGEST_NAME = 200;

/**
 * A name from outside (a file's, a class's) for a message: what would steer a terminal or hide
 * is spelled out, the middle of a long one is left out.
 */
export function plain(name: string): string {
  if (name.length <= LONGEST_NAME) return escaped(name);
  const half = LONGEST_NAME / 2;
  return `${escaped(name.slice(0, half))}…${escaped(name.slice(1 - half))}`;
}

/** Control characters, changes of writing direction, line separators, halves of a character. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

function escaped(text: string): string {
  return text.replace(UNSAFE, spelled);
}

const spelled = (found: string): string =>
  `\\u${found.codePointAt(0)!.toString(16).padStart(4, "0")}`;

/** Our own ways to steer a terminal: lines, tabs, colours, and rewriting a line from its start. */
// oxlint-disable-next-line eslint/no-control-regex -- these are what it is about
const STEERING = /(^\r|[\n\t]|\u001b\[[0-9;]*m|\u001b\[K)/u;

/** Whole output for a terminal: whatever would steer it, and is not ours, is spelled out. */
export function printable(text: string): string {
  return text
    .split(STEERING)
    .map((part, index) => (index % 2 === 1 ? part : escaped(part)))
    .join("");
}
