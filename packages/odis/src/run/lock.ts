import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { RunError } from "../errors.js";

/** Who holds a lock. A process id alone may belong to another process by now. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** when the process began, as its system counts; unknown outside Linux */
  readonly began: string | undefined;
}

/**
 * Claims a file for this process, so that two of them never write into one folder. The lock of a
 * process that is gone (crash, reboot) is taken over.
 *
 * @returns gives the lock back
 * @throws RunError naming the process that holds it
 */
export function lock(path: string, what: string): () => void {
  const mine = JSON.stringify(holder(process.pid));
  for (;;) {
    try {
      writeFileSync(path, mine, { flag: "wx" });
      return () => {
        if (readLock(path) === mine) rmSync(path);
      };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const text = readLock(path);
    if (text === undefined) continue; // given back meanwhile
    const other = parseHolder(text);
    if (other && isAlive(other))
      throw new RunError(
        `${what} is in use by process ${other.pid}${other.host === hostname() ? "" : ` on ${other.host}`}. ` +
          `Wait for it, stop it, or choose another folder` +
          `${other.host === hostname() ? "" : `; if it is gone for sure, delete ${path}`}.`,
      );
    takeAway(path, text);
  }
}

/** Removes a dead process's lock, unless somebody else was quicker and holds it now. */
function takeAway(path: string, judged: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readLock(aside) !== judged) linkSync(aside, path);
  } catch (error) {
    // Gone already, or claimed again: the next look at the file says what is true.
    if (!(error instanceof Error && "code" in error)) throw error;
  }
  rmSync(aside, { force: true });
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Undefined for half a lock: its writer died in that moment. */
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
