import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { replaceFile } from "@odis/torch/files";
import { RunError } from "./errors.js";
import { FileProblem, kindOf, readRegularSync, sizeOfRegular } from "./regular-file.js";
import { isSystemError, systemReason } from "./system.js";
import { codeOf, plain, reasonOf } from "./text.js";

export { replaceFile, syncFile, syncFolder } from "@odis/torch/files";

/** What a path leads to, undefined where there is nothing. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/**
 * Makes a folder and those above it that are missing.
 *
 * Node's own `recursive` is not used: Node 20 calls a read-only file system ENOENT, and below a
 * folder that takes none (`/proc/x`) it never returns.
 *
 * @throws what the file system says of the first folder that cannot be made
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); statOf(at) === undefined; at = dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    try {
      mkdirSync(folder);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error; // somebody else made it just now
    }
  }
  if (statOf(path)?.isDirectory() !== true)
    throw Object.assign(new Error(`ENOTDIR: no folder, mkdir '${path}'`), {
      code: "ENOTDIR",
      syscall: "mkdir",
      path,
    });
}

/**
 * Finds out before any work whether files can be made in a folder, which need not exist yet.
 *
 * @param what names the folder in the message: "run folder"
 * @param advice what to do instead
 * @throws RunError
 */
export function checkWritable(path: string, what: string, advice: string): void {
  try {
    let place = resolve(path);
    while (statOf(place) === undefined) place = dirname(place);
    removeTrials(place);
    // Permissions say too little: root passes them all, and a read-only file system has its own.
    const trial = mkdtempSync(join(place, ".odis-"));
    quietly(() => rmdirSync(trial)); // another process may have been quicker
  } catch (error) {
    throw new RunError(`${what} ${path}: cannot be written: ${causeOf(error)}. ${advice}`, {
      cause: error,
    });
  }
}

/**
 * Removes folders that a process made to try, and was killed: to the next one the place would not be
 * empty. One that holds something is nobody's trial and stays. What is wrong the next trial tells.
 */
function removeTrials(place: string): void {
  for (const name of quietly(() => readdirSync(place)) ?? [])
    if (trialName.test(name)) quietly(() => rmdirSync(join(place, name)));
}

const trialName = /^\.odis-[A-Za-z0-9]{6}$/;

/** What a folder holds, but for such trials; nothing where there is no folder. */
export function namesIn(path: string): readonly string[] {
  return statOf(path)?.isDirectory()
    ? readdirSync(path).filter((name) => !trialName.test(name))
    : [];
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/**
 * Finds out before any work whether a file can be written: `checkWritable` for its folder, and
 * nothing but a file may stand in its place.
 *
 * @throws RunError
 */
export function checkReplaceable(path: string): void {
  checkWritable(dirname(path), "folder", "Make it writable, or use another place.");
  const stat = statOf(path);
  if (stat && !stat.isFile())
    throw new RunError(`${path}: is ${kindOf(stat)}; wanted a file or nothing. Move it away.`);
}

/**
 * What is made there is made anew and whole.
 *
 * @throws RunError when something is there that is no empty folder
 */
export function checkNewFolder(path: string): void {
  const stat = statOf(path);
  if (!stat) return;
  if (!stat.isDirectory())
    throw new RunError(`${plain(path)}: is ${kindOf(stat)}; wanted a new or an empty folder`);
  removeTrials(path);
  const [other] = readdirSync(path);
  if (other === undefined) return;
  throw new RunError(
    `${plain(path)}: holds something already (${plain(other)}); wanted a new or an empty folder`,
  );
}

/** In words where there are some; what the system says of folders that cannot be made misleads. */
export function causeOf(error: unknown): string {
  if (isSystemError(error) && error.syscall.startsWith("mkd")) {
    if (error.code === "ENOENT") return "no folder can be made there";
    if (error.code === "ENOTDIR" || error.code === "EEXIST") return "a file is in the way";
  }
  return systemReason(error) ?? reasonOf(error);
}

/**
 * A text that odis has written into a folder of its own, undefined where there is none.
 *
 * @throws RunError when it is no file, cannot be read, or is larger than any text can be
 */
export function readOwnText(path: string): string | undefined {
  try {
    return readRegularSync(path, longestText).toString("utf8");
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error;
    if (error.code === "ENOENT") return undefined;
    throw new RunError(`${path} ${error.message}. Put the file back, or move away what is there.`, {
      cause: error,
    });
  }
}

/** V8 has no longer strings. */
const longestText = 2 ** 29 - 24;

/**
 * Opens a file for adding to its end; it is made when it is missing.
 *
 * @throws FileProblem when a pipe, a folder or a device is there, or it cannot be written
 */
export function openToAppend(path: string): number {
  let descriptor: number | undefined;
  try {
    const { O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
    descriptor = openSync(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK);
    sizeOfRegular(fstatSync(descriptor));
    return descriptor;
  } catch (cause) {
    if (descriptor !== undefined) closeSync(descriptor);
    if (cause instanceof FileProblem) throw cause;
    const code = codeOf(cause);
    if (code === "EISDIR") throw new FileProblem("is a folder; wanted a regular file", code);
    throw new FileProblem(`cannot be written: ${causeOf(cause)}`, code, { cause });
  }
}

/**
 * Adds to a file's end.
 *
 * @throws FileProblem as `openToAppend`; what the file system says of the writing
 */
export function appendText(path: string, text: string): void {
  const descriptor = openToAppend(path);
  try {
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

/** Writes a file of text so that it holds either its old content or all of the new one. */
export function replaceText(path: string, text: string): void {
  replaceFile(path, (descriptor) => writeFileSync(descriptor, text));
}
