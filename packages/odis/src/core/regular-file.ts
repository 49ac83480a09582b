import {
  closeSync,
  fstatSync,
  open as openDescriptor,
  openSync,
  readSync,
  type Stats,
} from "node:fs";
import { constants, type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { systemReason } from "./system.js";
import { codeOf, reasonOf } from "./text.js";

/**
 * Why a path cannot be read as a file. The message goes on where a sentence has named the path:
 * "does not exist", "is a pipe; wanted a regular file".
 */
export class FileProblem extends Error {
  constructor(
    message: string,
    /** the system's code, such as ENOENT; empty where the system had nothing against it */
    readonly code = "",
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "FileProblem";
  }
}

/** Without O_NONBLOCK the opening of a pipe already waits. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK;

const openLater = promisify(openDescriptor);

/** Bytes of a file that are asked for at a time: between two pieces a signal is heard. */
const PIECE = 1 << 24;

/**
 * Opens a regular file. A pipe would wait for its other end for ever, and a device has no end, so
 * neither is touched.
 *
 * @throws FileProblem
 */
export async function openRegular(path: string): Promise<{ file: FileHandle; size: number }> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ);
    return { file, size: sizeOfRegular(await file.stat()) };
  } catch (cause) {
    await file?.close();
    return refused(cause);
  }
}

/**
 * All bytes of a regular file.
 *
 * @param limit largest size that is read, bytes
 * @throws FileProblem
 */
export async function readRegular(path: string, limit: number): Promise<Buffer> {
  const { file, size } = await openRegular(path);
  try {
    checkSize(size, limit);
    return await readRange(file, 0, size);
  } catch (cause) {
    return refused(cause);
  } finally {
    await file.close();
  }
}

/**
 * All bytes of a regular file, for a thread that has nothing else to do. Only the opening, which takes longest on
 * disks far away, is left to the pool of threads: each further way there and back costs as much as the reading.
 *
 * @param limit largest size that is read, bytes
 * @param allocate asked for their memory
 * @throws FileProblem
 */
export async function readRegularHere(
  path: string,
  limit: number,
  allocate: (bytes: number) => Uint8Array,
): Promise<Buffer> {
  return readOpened(await openLater(path, READ).catch(refused), limit, allocate);
}

/**
 * All bytes of a regular file, at once.
 *
 * @param limit largest size that is read, bytes
 * @throws FileProblem
 */
export function readRegularSync(path: string, limit: number): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(path, READ);
  } catch (cause) {
    return refused(cause);
  }
  return readOpened(descriptor, limit, (bytes) => Buffer.allocUnsafeSlow(bytes));
}

/** Reads all of an open file, and closes it. */
function readOpened(
  descriptor: number,
  limit: number,
  allocate: (bytes: number) => Uint8Array,
): Buffer {
  try {
    const size = sizeOfRegular(fstatSync(descriptor));
    checkSize(size, limit);
    const memory = allocate(size);
    const bytes = Buffer.from(memory.buffer, memory.byteOffset, size);
    for (let at = 0; at < size; ) {
      const got = readSync(descriptor, bytes, at, size - at, at);
      if (got === 0) throw new FileProblem(`ends after ${at} bytes; wanted ${size}`);
      at += got;
    }
    return bytes;
  } catch (cause) {
    return refused(cause);
  } finally {
    closeSync(descriptor);
  }
}

function refused(cause: unknown): never {
  throw cause instanceof FileProblem ? cause : problemOf(cause);
}

/** @throws FileProblem when it is something else than a regular file */
export function sizeOfRegular(stat: Stats): number {
  if (stat.isFile()) return stat.size;
  throw new FileProblem(`is ${kindOf(stat)}; wanted a regular file`);
}

function checkSize(size: number, limit: number): void {
  if (size > limit)
    throw new FileProblem(`has ${size} bytes; at most ${limit} can be read in one piece`);
}

/**
 * Bytes `from` to `from + length` of an open file.
 *
 * @param allocate asked for their memory; default: fresh memory
 * @throws FileProblem when it ends before
 */
export async function readRange(
  file: FileHandle,
  from: number,
  length: number,
  allocate: (bytes: number) => Uint8Array = (bytes) => Buffer.allocUnsafeSlow(bytes),
): Promise<Buffer> {
  const memory = allocate(length);
  const bytes = Buffer.from(memory.buffer, memory.byteOffset, length);
  for (let at = 0; at < length; ) {
    const wanted = Math.min(PIECE, length - at);
    const { bytesRead } = await file.read(bytes, at, wanted, from + at);
    if (bytesRead === 0)
      throw new FileProblem(`ends after ${from + at} bytes; wanted ${from + length}`);
    at += bytesRead;
  }
  return bytes;
}

export function problemOf(cause: unknown): FileProblem {
  const code = codeOf(cause);
  const texts: Readonly<Record<string, string>> = {
    ENOENT: "does not exist",
    ENOTDIR: "does not exist: a part of its path is no folder",
    EACCES: "cannot be read: permission denied",
    ELOOP: "cannot be read: links lead round in a circle",
    ENXIO: "is a socket; wanted a regular file",
  };
  return new FileProblem(
    texts[code] ?? `cannot be read: ${systemReason(cause) ?? reasonOf(cause)}`,
    code,
    { cause },
  );
}

/** What a path leads to, with its article. */
export function kindOf(stat: {
  isDirectory(): boolean;
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}): string {
  if (stat.isDirectory()) return "a folder";
  if (stat.isFile()) return "a file";
  if (stat.isFIFO()) return "a pipe";
  return stat.isSocket() ? "a socket" : "a device";
}
