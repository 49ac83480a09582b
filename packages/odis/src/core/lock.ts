import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { RunError } from "./errors.js";

/** Who holds a lock. A process id alone may belong to another process by now. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** when the process began, as its system counts; unknown outside Linux */
  readonly began: string | undefined;
}

/**
 * Claims a folder for this process, so that two of them never write into one run. The lock of a
 * process that is gone (crash, reboot) is taken over.
 *
 * The folder holds one file for each holder, numbered; the highest number is the lock. A file is
 * linked into place with its text, so there is no half a lock, and a dead one is followed, not
 * removed: of several processes that find it dead, only one can make the next number.
 *
 * @returns gives the lock back
 * @throws RunError naming the process that holds it
 */
export function lock(path: string, what: string): () => void {
  for (;;) {
    const last = newest(path);
    const other = last > 0 ? parseHolder(readLock(join(path, String(last)))) : undefined;
    if (other && isAlive(other)) throw inUse(path, what, other);
    const mine = claim(path, last + 1);
    if (mine === undefined) continue; // somebody was quicker
    // The list may have been old: somebody may hold another number by now.
    const others = numbers(path).filter((number) => number !== last + 1);
    const held = (number: number): boolean => {
      const found = parseHolder(readLock(join(path, String(number))));
      return number > last || (found !== undefined && isAlive(found));
    };
    if (others.some(held)) {
      rmSync(mine);
      continue;
    }
    for (const dead of others) rmSync(join(path, String(dead)), { force: true });
    return () => release(path, mine);
  }
}

/** Makes the lock of this number with its text at once, or returns undefined when it is there. */
function claim(path: string, number: number): string | undefined {
  const aside = join(path, `.${process.pid}`);
  const place = join(path, String(number));
  try {
    mkdirSync(path, { recursive: true });
    writeFileSync(aside, JSON.stringify(holder(process.pid)));
    linkSync(aside, place);
    return place;
  } catch (error) {
    // There already; or the folder was given back between two of these lines.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EEXIST" && code !== "ENOENT") throw error;
    return undefined;
  } finally {
    rmSync(aside, { force: true });
  }
}

function release(path: string, mine: string): void {
  rmSync(mine, { force: true });
  try {
    rmdirSync(path);
  } catch {
    // Somebody else's lock is in it already.
  }
}

function numbers(path: string): number[] {
  try {
    return readdirSync(path)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

const newest = (path: string): number => Math.max(0, ...numbers(path));

function inUse(path: string, what: string, { pid, host }: Holder): RunError {
  const elsewhere = host !== hostname();
  return new RunError(
    `${what} is in use by process ${pid}${elsewhere ? ` on ${host}` : ""}. ` +
      `Wait for it, stop it, or choose another folder` +
      `${elsewhere ? `; if it is gone for sure, delete ${path}` : ""}.`,
  );
}

function readLock(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // given back meanwhile
  }
}

/** Undefined for a file that no holder wrote. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("pid" in value && "host" in value))
      return undefined;
    const { pid, host } = value;
    const began = "began" in value && typeof value.began === "string" ? value.began : undefined;
    return typeof pid === "number" && typeof host === "string" ? { pid, host, began } : undefined;
  } catch {
    return undefined;
  }
}

function holder(pid: number): Holder {
  return { pid, host: hostname(), began: beganAt(pid) };
}

/** A process of another machine cannot be looked at: it counts as alive. */
function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: somebody else's process, but a process.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return began === undefined || began === beganAt(pid);
}

/** Start time of a process in clock ticks since boot (proc(5), field 22 of stat). */
function beganAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in brackets may hold spaces; field 3 follows the last bracket.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
