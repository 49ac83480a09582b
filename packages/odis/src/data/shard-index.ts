import { existsSync, statSync } from "node:fs";
import { type FileHandle, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { DataError, FileProblem, openRegular, plain, readRange } from "../core/index.js";
import { ArchiveBuilder, type Archives } from "./archive.js";
import { roleOf, splitMember } from "./archive-source.js";
import { readerOf, walkTar } from "./tar.js";

/**
 * `shards.odis`, beside tar files: what lies where in them, so that a million samples open at once. A
 * line of JSON (names and sizes of the archives), then for each archive its end and for each sample its
 * beginning, in blocks of 512 bytes, as little-endian numbers of 32 bits.
 */
const FILE = "shards.odis";
const VERSION = 1;

/** Numbers of classes above this are no classes. */
const MOST_CLASSES = 1_000_000;

/** Writes the index of tar files that were just made. */
export async function indexShards(root: string, files: readonly string[]): Promise<void> {
  const { archives, numbered } = await walkShards(root, files, () => undefined);
  await writeIndexFile(root, archives, numbered);
}

/**
 * Finds the samples of tar files by their headers.
 *
 * @param onBare hears of samples without a picture
 * @throws DataError where one is no tar file
 */
export async function walkShards(
  root: string,
  files: readonly string[],
  onBare: (count: number) => void,
): Promise<{ archives: Archives; numbered: number }> {
  const archives = new ArchiveBuilder();
  let numbered = 0;
  for (const path of files) {
    const full = resolve(root, path);
    try {
      const { file, size } = await openRegular(full);
      try {
        const found = walkOne(size, readerOf(file), archives);
        archives.archive(path, found.end);
        numbered = Math.max(numbered, found.numbered);
        if (found.bare > 0) onBare(found.bare);
      } finally {
        await file.close();
      }
    } catch (cause) {
      if (!(cause instanceof FileProblem)) throw cause;
      throw new DataError(`shard ${plain(full)} ${cause.message}`, { cause });
    }
    await new Promise((done) => setImmediate(done)); // a signal is heard between two archives
  }
  return { archives: archives.finish(), numbered };
}

/** The samples of one archive: members of one key, side by side, with a picture among them. */
function walkOne(
  size: number,
  read: (from: number, length: number) => Buffer,
  archives: ArchiveBuilder,
): { readonly end: number; readonly bare: number; readonly numbered: number } {
  let [end, bare, numbered] = [0, 0, 0];
  let open: { key: string; start: number; hasPicture: boolean } | undefined;
  const close = () => {
    if (open?.hasPicture) archives.sample(open.start);
    else if (open) bare += 1;
  };
  for (const member of walkTar(size, read)) {
    const [key, ending] = splitMember(member.name);
    if (basename(key).startsWith("__") || basename(key) === "") continue; // WebDataset's own notes
    if (key !== open?.key) {
      close();
      open = { key, start: member.start, hasPicture: false };
    }
    const role = roleOf(ending);
    if (role === "picture") open.hasPicture = true;
    if (role === "class" && member.size < 20) {
      const number = Number(read(member.from, member.size).toString("latin1").trim());
      if (Number.isInteger(number) && number >= 0 && number < MOST_CLASSES)
        numbered = Math.max(numbered, number + 1);
    }
    end = member.from + member.size;
  }
  close();
  return { end, bare, numbered };
}

interface Head {
  readonly version: number;
  readonly archives: readonly (readonly [path: string, bytes: number, samples: number])[];
  /** labels that `.cls` members have, at most */
  readonly numbered: number;
}

/** Bytes of the first line at most. */
const LONGEST_HEAD = 1 << 28;

export async function writeIndexFile(
  root: string,
  archives: Archives,
  numbered: number,
): Promise<void> {
  const { paths, ends, starts, lasts } = archives;
  const head: Head = {
    version: VERSION,
    archives: paths.map((path, at) => [
      path,
      statSync(join(root, path)).size,
      ends[at]! - (at === 0 ? 0 : ends[at - 1]!),
    ]),
    numbered,
  };
  const line = Buffer.from(`${JSON.stringify(head)}\n`);
  const numbers = Buffer.alloc(4 * (lasts.length + starts.length));
  for (const [at, last] of lasts.entries()) numbers.writeUInt32LE(last, 4 * at);
  for (const [at, start] of starts.entries()) numbers.writeUInt32LE(start, 4 * (lasts.length + at));
  await writeFile(join(root, FILE), Buffer.concat([line, numbers]));
}

/**
 * The index of archives, if there is one and it is of these very files.
 *
 * @throws DataError when it is damaged
 */
export async function readIndexFile(
  root: string,
  files: readonly string[],
): Promise<{ archives: Archives; numbered: number } | undefined> {
  const path = join(root, FILE);
  if (!existsSync(path)) return undefined;
  const damaged = (why: string, cause?: unknown) =>
    new DataError(
      `index ${plain(path)} ${why}; delete it, and the archives are walked through instead`,
      { cause },
    );
  const { file, size } = await openRegular(path).catch((cause: unknown) => {
    throw damaged(cause instanceof FileProblem ? cause.message : "cannot be read", cause);
  });
  try {
    const line = await firstLine(file, size);
    const head = line && parseHead(line.toString("utf8"));
    if (!line || !head) throw damaged("is damaged, or of another release");
    const end = line.length;
    const isCurrent =
      head.archives.length === files.length &&
      head.archives.every(
        ([name, bytes], at) =>
          name === files[at] &&
          statSync(join(root, name), { throwIfNoEntry: false })?.size === bytes,
      );
    if (!isCurrent) return undefined; // other archives than those that were indexed
    const samples = head.archives.reduce((sum, [, , count]) => sum + count, 0);
    const wanted = 4 * (files.length + samples);
    if (size - end - 1 !== wanted)
      throw damaged(`has ${size - end - 1} bytes of numbers; wanted ${wanted}`);
    const lasts = new Float64Array(new SharedArrayBuffer(8 * files.length));
    const ends = new Float64Array(new SharedArrayBuffer(8 * files.length));
    const starts = new Uint32Array(new SharedArrayBuffer(4 * samples));
    let before = 0;
    const firsts = await readRange(file, end + 1, 4 * files.length);
    for (const [at, [, , count]] of head.archives.entries()) {
      lasts[at] = firsts.readUInt32LE(4 * at);
      before += count;
      ends[at] = before;
    }
    // Shared memory takes no reads of its own: it is filled piece by piece.
    const piece = 1 << 22;
    for (let at = 0; at < samples; at += piece) {
      const count = Math.min(piece, samples - at);
      const bytes = await readRange(file, end + 1 + 4 * (files.length + at), 4 * count);
      starts.set(new Uint32Array(bytes.buffer, bytes.byteOffset, count), at);
    }
    const archives = { size: samples, paths: files, ends, starts, lasts };
    checkAscending(archives, damaged);
    return { archives, numbered: head.numbered };
  } finally {
    await file.close();
  }
}

async function firstLine(file: FileHandle, size: number): Promise<Buffer | undefined> {
  for (let length = 1 << 16; ; length *= 4) {
    const start = await readRange(file, 0, Math.min(size, length));
    const end = start.indexOf("\n");
    if (end >= 0) return start.subarray(0, end);
    if (length >= size || length >= LONGEST_HEAD) return undefined;
  }
}

function parseHead(text: string): Head | undefined {
  try {
    const head: unknown = JSON.parse(text);
    return isHead(head) ? head : undefined;
  } catch {
    return undefined;
  }
}

function isHead(head: unknown): head is Head {
  if (typeof head !== "object" || head === null) return false;
  const { version, archives, numbered } = head as Partial<Record<keyof Head, unknown>>;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  return (
    version === VERSION &&
    isCount(numbered) &&
    Array.isArray(archives) &&
    archives.every(
      (entry: unknown) =>
        Array.isArray(entry) &&
        typeof entry[0] === "string" &&
        isCount(entry[1]) &&
        isCount(entry[2]),
    )
  );
}

/** A sample ends where the next one begins, so beginnings ascend within an archive. */
function checkAscending(
  { ends, starts, lasts }: Archives,
  damaged: (why: string) => DataError,
): void {
  let sample = 0;
  for (const [archive, end] of ends.entries())
    for (let before = -1; sample < end; sample += 1) {
      const start = starts[sample]!;
      if (start <= before || start >= lasts[archive]!) throw damaged("is damaged");
      before = start;
    }
}
