import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

let written = 0;

/**
 * Writes a file so that `path` holds either its old content or all of the new one, whatever
 * happens: content goes to a hidden sibling that is flushed to the disk and then renamed.
 *
 * @param write fills the file through its descriptor; when it throws, the sibling is removed
 * @throws what the file system throws; `path` is then as before
 */
export function replaceFile<T>(path: string, write: (descriptor: number) => T): T {
  written += 1;
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}-${written}.tmp`);
  const descriptor = openSync(beside, "wx");
  try {
    let result: T;
    try {
      result = write(descriptor);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, path);
    syncFolder(dirname(path));
    return result;
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** Makes renames and deletions inside a folder durable. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
