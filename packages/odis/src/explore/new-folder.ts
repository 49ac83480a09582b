import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import {
  checkWritable,
  codeOf,
  ConfigError,
  lock,
  makeFolder,
  plain,
  statOf,
} from "../core/index.js";

/**
 * A folder that is written beside its place and moved there when it is whole. One that was never
 * finished is begun anew.
 */
export class NewFolder implements Disposable {
  private readonly beside: string;
  private readonly held: Disposable;
  private readonly made = new Set<string>();
  private written = 0;
  private isFinished = false;

  /** @throws ConfigError when something is there; RunError when it cannot be written */
  constructor(private readonly path: string) {
    checkNewFolder(path);
    checkWritable(dirname(resolve(path)), "folder", "Choose another place.");
    this.beside = join(dirname(resolve(path)), `.${basename(resolve(path))}.part`);
    makeFolder(this.beside);
    this.held = lock(join(this.beside, "lock"), `folder ${plain(path)}`);
    this.clear();
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

  /** Counts a file that somebody else wrote. @returns its bytes */
  count(name: string): number {
    const bytes = statOf(join(this.beside, name))!.size;
    this.written += bytes;
    return bytes;
  }

  /** It is whole. @throws ConfigError when something is there by now */
  finish(): void {
    checkNewFolder(this.path);
    if (statOf(this.path)) rmdirSync(this.path);
    // With its lock: without it, somebody else could begin in it just now.
    renameSync(this.beside, this.path);
    this.isFinished = true;
    rmSync(join(this.path, "lock"), { recursive: true });
  }

  /** What was not finished goes; the folder itself only if nobody else has begun in it since. */
  [Symbol.dispose](): void {
    if (this.isFinished || !statOf(this.beside)) return;
    this.clear();
    this.held[Symbol.dispose]();
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

/** @throws ConfigError when something is there that is no empty folder */
export function checkNewFolder(path: string): void {
  const stat = statOf(path);
  if (!stat) return;
  if (!stat.isDirectory())
    throw new ConfigError(`${plain(path)}: is no folder; wanted a new or an empty one`);
  const [other] = readdirSync(path);
  if (other === undefined) return;
  throw new ConfigError(
    `${plain(path)}: holds something already (${plain(other)}); wanted a new or an empty folder`,
  );
}
