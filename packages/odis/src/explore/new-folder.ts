import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import {
  checkNewFolder,
  checkWritable,
  codeOf,
  lock,
  makeFolder,
  plain,
  readOwnText,
  replaceText,
  statOf,
} from "../core/index.js";

/** In a folder that is not whole: what is to become of it. */
const plan = "plan.json";

/**
 * A folder that is written beside its place and moved there when it is whole. One that was not finished is
 * gone on with if the same is to become of it, or else begun anew.
 */
export class NewFolder implements Disposable {
  /** where it is until it is whole */
  readonly beside: string;
  private readonly held: Disposable;
  private readonly made = new Set<string>();
  private written = 0;
  private isFinished = false;
  private isKept = false;

  /**
   * @param what is to be written, in a text: with the same one, files that are there stay
   * @throws RunError when something is there, or it cannot be written
   */
  constructor(
    private readonly path: string,
    what: string,
  ) {
    checkNewFolder(path);
    checkWritable(dirname(resolve(path)), "folder", "Choose another place.");
    this.beside = join(dirname(resolve(path)), `.${basename(resolve(path))}.part`);
    makeFolder(this.beside);
    this.held = lock(join(this.beside, "lock"), `folder ${plain(path)}`);
    if (readOwnText(join(this.beside, plan)) === what) {
      // Whatever goes wrong from here on is not the fault of what was kept.
      this.isKept = true;
      return;
    }
    this.clear();
    replaceText(join(this.beside, plan), what);
  }

  /** What is there stays if it is not finished now: the next one goes on with it. */
  keep(): void {
    this.isKept = true;
  }

  /** Whether what is there stays, whatever happens now. */
  get keeps(): boolean {
    return this.isKept;
  }

  /** A file that was written whole; undefined where there is none. */
  read(name: string): string | undefined {
    return readOwnText(join(this.beside, name));
  }

  /** Bytes of all files so far. */
  get bytes(): number {
    return this.written;
  }

  /** Where a file is until the folder is whole; the folders above it are made. */
  file(name: string): string {
    const path = join(this.beside, name);
    const above = dirname(path);
    if (!this.made.has(above)) mkdirSync(above, { recursive: true });
    this.made.add(above);
    return path;
  }

  write(name: string, content: string | Uint8Array): void {
    writeFileSync(this.file(name), content);
    this.written += Buffer.byteLength(content);
  }

  /** Writes a file that is there only when it is whole, as what was written before it is. */
  writeWhole(name: string, content: string): void {
    const path = this.file(name);
    writeFileSync(`${path}.part`, content);
    renameSync(`${path}.part`, path);
    this.written += Buffer.byteLength(content);
  }

  /** Whether there is a file with something in it. */
  has(name: string): boolean {
    return (statOf(join(this.beside, name))?.size ?? 0) > 0;
  }

  /** Counts a file that somebody else wrote. @returns its bytes */
  count(name: string): number {
    const bytes = statOf(join(this.beside, name))!.size;
    this.written += bytes;
    return bytes;
  }

  /** It is whole. @throws RunError when something is there by now */
  finish(): void {
    checkNewFolder(this.path);
    if (statOf(this.path)) rmdirSync(this.path);
    rmSync(join(this.beside, plan));
    // With its lock: without it, somebody else could begin in it just now.
    renameSync(this.beside, this.path);
    this.isFinished = true;
    rmSync(join(this.path, "lock"), { recursive: true });
  }

  /** What was not finished, and is not kept, goes; the folder only if nobody else has begun in it since. */
  [Symbol.dispose](): void {
    if (this.isFinished || !statOf(this.beside)) return;
    if (!this.isKept) this.clear();
    this.held[Symbol.dispose]();
    if (this.isKept) return;
    try {
      rmdirSync(this.beside);
    } catch (error) {
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "ENOENT") throw error;
    }
  }

  /** Takes away what lies in it, while it is locked. */
  private clear(): void {
    for (const name of readdirSync(this.beside))
      if (name !== "lock") rmSync(join(this.beside, name), { recursive: true });
  }
}
