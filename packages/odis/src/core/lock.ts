import { linkSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { RunError } from "./errors.js";
import { causeOf, makeFolder, statOf } from "./files.js";
import { readRegularSync } from "./regular-file.js";
import { codeOf } from "./text.js";

/** Who holds a lock. A process id alone may belong to another process by now. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** when the process began, as its system counts; unknown outside Linux */
  readonly began: string | undefined;
}

/** A folder's lock that this process holds; disposing of it gives it back. */
export interface Lock extends Disposable {
  /** Whether it is still there: not if somebody has deleted or moved its folder. */
  stands(): boolean;
}

/**
 * Claims a folder for this process, so that two of them never write into one run. The lock of a
 * process that is gone (crash, reboot) is taken over.
 *
 * The folder holds one file for each holder, numbered; the highest number is the lock. A dead one
 * is followed, not removed: of several processes that find it dead, only one can make the next
 * number.
 *
 * @throws RunError naming the process that holds it, or why nothing can be locked there
 */
export function lock(path: string, what: string): Lock {
  try {
    for (let tries = 0; tries < mostTries; tries += 1) {
      const held = tryLock(path, what);
      if (held) return held;
    }
  } catch (error) {
    if (error instanceof RunError) throw error;
    throw new RunError(`${what}: cannot be locked: ${causeOf(error)} (${path}).`, {
      cause: error,
    });
  }
  throw new RunError(
    `${what}: cannot be locked: other processes came first ${mostTries} times (${path}). Try again.`,
  );
}

/** Each failed try means that somebody else has done something just then. */
const mostTries = 1000;

/** Undefined when another process was quicker: whether it has the lock now must be looked at anew. */
function tryLock(path: string, what: string): Lock | undefined {
  const last = newest(path);
  const other = last > 0 ? holderIn(join(path, String(last))) : undefined;
  if (other && isAlive(other)) throw inUse(path, what, other);
  const mine = claim(path, last + 1);
  if (mine === undefined) return undefined;
  // The list may have been old: somebody may hold another number by now.
  const others = numbers(path).filter((number) => number !== last + 1);
  const held = (number: number): boolean => {
    const found = holderIn(join(path, String(number)));
    return number > last || (found !== undefined && isAlive(found));
  };
  if (others.some(held)) {
    rmSync(mine);
    return undefined;
  }
  for (const dead of others) rmSync(join(path, String(dead)), { force: true });
  // Of processes that died while they claimed it; one that lives misses its own and tries again.
  for (const name of namesIn(path)) if (aside.test(name)) rmSync(join(path, name), { force: true });
  return {
    stands: () => statOf(mine) !== undefined,
    [Symbol.dispose]: () => release(path, mine),
  };
}

/** Makes the lock of this number with its text at once, or returns undefined when it is there. */
function claim(path: string, number: number): string | undefined {
  const beside = join(path, `.${process.pid}`);
  const place = join(path, String(number));
  makeFolder(path);
  try {
    const text = JSON.stringify(holder(process.pid));
    writeFileSync(beside, text);
    try {
      linkSync(beside, place);
    } catch (error) {
      if (!withoutLinks.has(codeOf(error))) throw error;
      writeFileSync(place, text, { flag: "wx" });
    }
    return place;
  } catch (error) {
    // There already; or the folder was given back between two of these lines.
    if (!["EEXIST", "ENOENT"].includes(codeOf(error))) throw error;
    return undefined;
  } finally {
    rmSync(beside, { force: true });
  }
}

/**
 * What `link` says on file systems without hard links: network drives, exFAT. A file is made there
 * before it has its text, so that a reader may find it empty for a moment.
 */
const withoutLinks = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"]);

function release(path: string, mine: string): void {
  rmSync(mine, { force: true });
  try {
    rmdirSync(path);
  } catch {
    // Somebody else's lock is in it already.
  }
}

/** What a claim is written into, before it has its number. */
const aside = /^\.\d+$/;

const numbers = (path: string): number[] =>
  namesIn(path)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
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

/** Undefined for a file that no holder wrote. Waits a little for one that is being written. */
function holderIn(path: string): Holder | undefined {
  let text = readLock(path);
  for (let waited = 0; text === "" && waited < writingMs; waited += 20) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    text = readLock(path);
  }
  return text === undefined ? undefined : parseHolder(text);
}

/** How long a lock may be without its text; on file systems with links it never is. */
const writingMs = 1000;

/** Undefined when it was given back meanwhile, or nobody can read it. */
function readLock(path: string): string | undefined {
  try {
    return readRegularSync(path, 4096).toString("utf8");
  } catch {
    return undefined;
  }
}

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
  return { pid, host: hostname(), began: statusOf(pid)?.began };
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
  const status = statusOf(pid);
  // One that has ended has a number until its parent asks after it, which in containers nobody may ever do.
  if (status && ["Z", "X"].includes(status.state)) return false;
  return began === undefined || began === status?.began;
}

/** Of a process (proc(5), fields 3 and 22 of stat): what it does, and its start in clock ticks since boot. */
function statusOf(pid: number): { readonly state: string; readonly began: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in brackets may hold spaces; field 3 follows the last bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0]!, began: fields[19]! };
  } catch {
    return undefined;
  }
}
