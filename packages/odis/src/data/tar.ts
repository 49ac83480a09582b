import { type FileHandle } from "node:fs/promises";
import { readSync } from "node:fs";
import { FileProblem } from "../core/index.js";

/** Everything in a tar file begins at a multiple of this, bytes. */
export const BLOCK = 512;

/** Bytes that are read at a time in search of headers: small members lie close together. */
const AHEAD = 1 << 16;

/** A file in a tar file. */
export interface Member {
  readonly name: string;
  /** where its first header begins, those before it that say more included */
  readonly start: number;
  /** where its contents begin */
  readonly from: number;
  readonly size: number;
}

/** Longest name that a header of its own may give, bytes. */
const LONGEST_NAME = 1 << 16;

const blocks = (bytes: number): number => BLOCK * Math.ceil(bytes / BLOCK);

/**
 * The files in a tar file, in order, by walking from header to header; contents are not read. What a
 * stranger's header says is checked: sizes lie inside the file, the sum of the header is right.
 *
 * @param read bytes of the file from a place on; fewer at its end
 * @throws FileProblem where it is no tar file
 */
export function* walkTar(
  size: number,
  read: (from: number, length: number) => Buffer,
): Generator<Member> {
  let start: number | undefined;
  let longName: string | undefined;
  let window: { readonly from: number; readonly bytes: Buffer } = {
    from: 0,
    bytes: Buffer.alloc(0),
  };
  const at = (from: number, length: number): Buffer => {
    const inside = from - window.from;
    if (inside < 0 || inside + length > window.bytes.length)
      window = { from, bytes: read(from, Math.max(length, Math.min(AHEAD, size - from))) };
    return window.bytes.subarray(from - window.from, from - window.from + length);
  };
  for (let offset = 0; offset + BLOCK <= size; ) {
    const header = at(offset, BLOCK);
    if (header.length < BLOCK) throw new FileProblem(`ends at byte ${offset + header.length}`);
    if (header.every((byte) => byte === 0)) return; // two empty blocks end the archive
    const { name, length, type } = parseHeader(header, offset);
    const from = offset + BLOCK;
    if (from + length > size)
      throw new FileProblem(
        `is cut off: the entry at byte ${offset} has ${length} bytes and the file ends after ${size - from}`,
      );
    start ??= offset;
    if (type === "L" || type === "x") {
      if (length > LONGEST_NAME)
        throw new FileProblem(`has a header of ${length} bytes at byte ${offset}`);
      const text = at(from, length);
      longName = type === "L" ? untilZero(text) : (paxPath(text) ?? longName);
    } else {
      if (type === "0" || type === "\0" || type === "7")
        yield { name: longName ?? name, start, from, size: length };
      [start, longName] = [undefined, undefined]; // folders and links are passed over
    }
    offset = from + blocks(length);
  }
}

function parseHeader(
  header: Buffer,
  offset: number,
): { name: string; length: number; type: string } {
  let sum = 0;
  for (let at = 0; at < BLOCK; at += 1) sum += at >= 148 && at < 156 ? 32 : header[at]!;
  if (octal(header, 148, 8) !== sum)
    throw new FileProblem(`is no tar file: there is no header at byte ${offset}`);
  const prefix =
    header.toString("latin1", 257, 263) === "ustar\0" ? untilZero(header.subarray(345, 500)) : "";
  const name = untilZero(header.subarray(0, 100));
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    length: sizeOf(header, offset),
    type: String.fromCharCode(header[156]!),
  };
}

function sizeOf(header: Buffer, offset: number): number {
  // Beyond 8 GB the size is a binary number, marked by its first bit.
  const isBinary = (header[124]! & 0x80) !== 0;
  const value = isBinary ? Number(header.readBigUInt64BE(128)) : octal(header, 124, 12);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new FileProblem(`is no tar file: the entry at byte ${offset} has no size`);
}

function octal(header: Buffer, from: number, length: number): number {
  const text = untilZero(header.subarray(from, from + length)).trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
}

function untilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** The name in an extended header: lines of "LENGTH KEY=VALUE". */
function paxPath(bytes: Buffer): string | undefined {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    if (space < 0) return undefined;
    const length = Number(bytes.toString("latin1", at, space));
    if (!Number.isInteger(length) || length <= space - at || at + length > bytes.length)
      return undefined;
    const line = bytes.toString("utf8", space + 1, at + length - 1);
    if (line.startsWith("path=")) return line.slice("path=".length);
    at += length;
  }
  return undefined;
}

/** Reads an open file for {@link walkTar}. */
export function readerOf(file: FileHandle): (from: number, length: number) => Buffer {
  return (from, length) => {
    // Headers are many and small: waiting for each of a million would take minutes.
    const bytes = Buffer.allocUnsafeSlow(length);
    return bytes.subarray(0, readSync(file.fd, bytes, 0, length, from));
  };
}
