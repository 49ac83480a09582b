import { closeSync, opendirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { endingOf, isPicture } from "./place.js";

/** Entries of a folder, and bytes of a file, that are looked at. */
const ENTRIES = 5000;
const BYTES = 1 << 16;
/** Folders that are looked into in search of a picture. */
const FOLDERS = 200;

/**
 * A first look at a place, to tell what kind of data set lies there: names and beginnings of files
 * only, a bounded number of them.
 */
export class Look {
  readonly isFolder: boolean;
  readonly isFile: boolean;

  constructor(readonly place: string) {
    const stat = statOf(place);
    this.isFolder = stat?.isDirectory() ?? false;
    this.isFile = stat?.isFile() ?? false;
  }

  /** Names in the place or a folder below it, sorted; empty where there is no such folder. */
  names(folder = "."): readonly string[] {
    const known = this.listed.get(folder);
    if (known) return known;
    const names = listed(join(this.place, folder));
    this.listed.set(folder, names);
    return names;
  }
  private readonly listed = new Map<string, readonly string[]>();

  hasFolder(folder: string): boolean {
    return statOf(join(this.place, folder))?.isDirectory() ?? false;
  }

  hasFile(file: string): boolean {
    return statOf(join(this.place, file))?.isFile() ?? false;
  }

  /** Whether a file of this ending lies in the folder. */
  has(ending: string, folder = "."): boolean {
    return this.names(folder).some((name) => endingOf(name) === ending);
  }

  hasPictures(folder = "."): boolean {
    return this.names(folder).some(isPicture);
  }

  /** How many pictures lie in the place and a few levels of folders below it, roughly. */
  picturesBelow(): number {
    let found = 0;
    const waiting = ["."];
    for (let looked = 0; waiting.length > 0 && looked < FOLDERS; looked += 1) {
      const folder = waiting.shift()!;
      found += this.names(folder).filter(isPicture).length;
      if (found > 0) break;
      waiting.push(...this.folders(folder).map((name) => join(folder, name)));
    }
    return found;
  }

  /** Folders in the place or below it. */
  folders(folder = "."): readonly string[] {
    return this.names(folder).filter((name) => this.hasFolder(join(folder, name)));
  }

  /** The first 64 KiB of a file as text; empty where there is none. */
  start(file = ""): string {
    return this.read(file, false);
  }

  /** The first and the last 64 KiB of a file: lists of annotations begin and end in many ways. */
  glimpse(file = ""): string {
    return this.read(file, true);
  }

  private read(file: string, withEnd: boolean): string {
    const path = file === "" ? this.place : join(this.place, file);
    const stat = statOf(path);
    if (!stat?.isFile()) return "";
    let descriptor: number | undefined;
    try {
      descriptor = openSync(path, "r");
      const bytes = Buffer.alloc(2 * BYTES);
      let length = readSync(descriptor, bytes, 0, BYTES, 0);
      const end = Math.max(BYTES, stat.size - BYTES);
      if (withEnd && stat.size > end) length += readSync(descriptor, bytes, length, BYTES, end);
      return bytes.toString("utf8", 0, length).replace(/^\uFEFF/, "");
    } catch {
      return ""; // whoever opens the data set says what is wrong
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }
}

function statOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function listed(path: string): string[] {
  const names: string[] = [];
  try {
    const folder = opendirSync(path, { bufferSize: 1024 });
    try {
      for (
        let entry = folder.readSync();
        entry && names.length < ENTRIES;
        entry = folder.readSync()
      )
        names.push(entry.name);
    } finally {
      folder.closeSync();
    }
  } catch {
    return [];
  }
  return names.filter((name) => !name.startsWith(".")).toSorted();
}
