import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

let written = 0;

/**
 * Writes a file so that `path` holds either its old content or all of the new one, whatever
 * happens: content goes to a hidden sibling that is flushed to the disk and then renamed.
 *
 * @param write fills the file through its descriptor; when it throws, the sibling is removed
 * @throws what the file system throws, its `path` always that of the file; `path` is then as before
 */
export function replaceFile<T>(path: string, write: (descriptor: number) => T): T {
  written += 1;
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}-${written}.tmp`);
  try {
    const descriptor = openSync(beside, "wx");
    let result: T;
    try {
      result = write(descriptor);
      syncFile(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, path);
    syncFolder(dirname(path));
    return result;
  } catch (error) {
    // Nobody knows the sibling, and what fails through a descriptor has no path.
    if (error instanceof Error && "syscall" in error) Object.assign(error, { path });
    removeQuietly(beside);
    throw error;
  }
}

/** Makes renames and deletions inside a folder durable, where the file system can. */
export function syncFolder(path: string): void {
  const descriptor = allowing(cannotSync, () => openSync(path, "r"));
  if (descriptor === undefined) return;
  try {
    syncFile(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Waits until a file is on the disk, where the file system can tell. */
export function syncFile(descriptor: number): void {
  allowing(cannotSync, () => fsyncSync(descriptor));
}

/** What file systems without the notion say (network drives, exFAT), and folders that only take files. */
const cannotSync = ["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EISDIR", "EACCES", "EPERM"];

function allowing<T>(codes: readonly string[], act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof Error && "code" in error && codes.includes(String(error.code)))
      return undefined;
    throw error;
  }
}

/** The first failure is the one to tell of. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // On a file system that has become read-only it stays.
  }
}
