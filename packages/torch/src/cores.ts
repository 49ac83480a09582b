import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Nanoseconds that a thread has run, and that it was ready to run and had no core. */
interface ThreadTimes {
  readonly ran: number;
  readonly waited: number;
}

const threadsFolder = "/proc/self/task";

/** Linux's times of every thread of this process, by its number; empty where there are none. */
function threadTimes(): Map<string, ThreadTimes> {
  const times = new Map<string, ThreadTimes>();
  if (!existsSync(threadsFolder)) return times;
  for (const thread of readdirSync(threadsFolder)) {
    try {
      const text = readFileSync(`${threadsFolder}/${thread}/schedstat`, "utf8");
      const [ran, waited] = text.split(" ").map(Number);
      if (Number.isFinite(ran) && Number.isFinite(waited))
        times.set(thread, { ran: ran!, waited: waited! });
    } catch {
      // The thread has ended since, or this kernel keeps no such times.
    }
  }
  return times;
}

/**
 * Tells whether other programs take the cores that this process wants.
 *
 * @example
 * const watch = new CoreWatch();
 * // … some seconds of work …
 * if ((watch.share() ?? 0) > 0.1) console.log("other programs take part of the cores");
 */
export class CoreWatch {
  private before = threadTimes();

  /**
   * Of the time since the last call (or since the watch was made) in which threads of this process
   * wanted to run: the share in which they had no core, 0 to 1. Too many threads of its own count,
   * too. Undefined where the kernel does not tell, or nothing has run.
   */
  share(): number | undefined {
    const now = threadTimes();
    let [ran, waited] = [0, 0];
    for (const [thread, times] of now) {
      const before = this.before.get(thread);
      ran += times.ran - (before?.ran ?? 0);
      waited += times.waited - (before?.waited ?? 0);
    }
    this.before = now;
    return ran + waited > 0 ? waited / (ran + waited) : undefined;
  }
}
